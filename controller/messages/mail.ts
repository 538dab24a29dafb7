/** Mail, by a library that is loaded when there is some to send. */
import { Deadline } from "../../os/deadline.ts";
import type { Letter } from "./told.ts";
import type { MailNotification } from "./notifications.ts";
import type { Smtp } from "./smtp.ts";
import type { Delivery, Outcome } from "./deliveries.ts";

const answerMs = 30_000;
/** For all of it, so that nobody else begins with it meanwhile. */
const wholeSeconds = 60;

/** Sends a mail, to all of its receivers at once. */
export async function sendMail(
  smtp: Smtp,
  { name, to }: MailNotification,
  { id, body, created_at }: Delivery,
  signal: AbortSignal,
): Promise<Pick<Outcome, "answer" | "trouble" | "isFinal">> {
  const { createTransport } = await import("nodemailer");
  const { host, port, isSecure, needsTls, needsNoTls, ca, user, password, from } = smtp;
  const transport = createTransport({
    ...{ host, port, secure: isSecure, requireTLS: needsTls, ignoreTLS: needsNoTls },
    ...(ca === undefined ? {} : { tls: { ca } }),
    ...(user === undefined ? {} : { auth: { user, pass: password } }),
    // What a mail's text says is text, and never a file or an address to read from.
    ...{ disableFileAccess: true, disableUrlAccess: true },
    ...{
      connectionTimeout: answerMs,
      greetingTimeout: answerMs,
      socketTimeout: answerMs,
      dnsTimeout: answerMs,
    },
  });
  const { subject, text } = JSON.parse(body) as Letter;
  using deadline = new Deadline(wholeSeconds, signal);
  try {
    const sending = transport.sendMail({
      ...{ from: { name: "croft", address: from }, to: [...to], subject, text, date: created_at },
      messageId: `<croft-${id}-${created_at.getTime()}@${from.split("@")[1]}>`, // the same if it is sent twice
      headers: { "auto-submitted": "auto-generated", "x-croft-notification": name },
    });
    const sent = await Promise.race([sending, deadline.passed]);
    if (sent === "late") {
      sending.catch(() => {});
      return { answer: null, trouble: `the server did not take it within ${wholeSeconds} s` };
    }
    const refused = sent.rejected.length;
    const answer = sent.response.slice(0, 3);
    return {
      answer,
      trouble: refused === 0 ? null : `${refused} of ${to.length} receivers were refused`,
      isFinal: true,
    };
  } catch (error) {
    const { responseCode, code, message } = error as Error & { responseCode?: number; code?: string };
    // What the server says may have the receivers in it, who are nobody's business.
    const reason = responseCode === undefined ? message : `the server answered ${responseCode}`;
    const answer = responseCode === undefined ? null : String(responseCode);
    return { answer, trouble: reason, isFinal: (responseCode ?? 0) >= 500 && code !== "EAUTH" };
  } finally {
    transport.close();
  }
}
