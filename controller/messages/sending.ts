/** One try to send a delivery. */
import { reasonOf } from "../../os/failure.ts";
import type { Delivery, Outcome } from "./deliveries.ts";
import { sendMail } from "./mail.ts";
import type { HttpNotification, Notification } from "./notifications.ts";
import type { Smtp } from "./smtp.ts";
import { post } from "./post.ts";
import { UnreachableError } from "./reachable.ts";
import { signatureHeaders } from "./signature.ts";

/** Sends it, and tells how that went; never with anything of its receiver's address, which may be a secret. */
export async function send(
  notification: Notification,
  delivery: Delivery,
  { smtp, answerSeconds, signal }: { smtp: Smtp | undefined; answerSeconds: number; signal: AbortSignal },
): Promise<Outcome> {
  const at = new Date();
  const timed = (outcome: Omit<Outcome, "at" | "seconds">): Outcome => ({
    ...{ at, seconds: (Date.now() - at.getTime()) / 1000 },
    ...outcome,
  });
  if (notification.kind !== "mail")
    return timed(await sendHttp(notification, delivery, answerSeconds, signal));
  if (!smtp) return timed({ answer: null, trouble: "the configuration has no smtp any more" });
  return timed(await sendMail(smtp, notification, delivery, signal));
}

async function sendHttp(
  { url, secret, isLocal }: HttpNotification,
  { id, event, body }: Delivery,
  answerSeconds: number,
  signal: AbortSignal,
): Promise<Omit<Outcome, "at" | "seconds">> {
  const timeout = AbortSignal.timeout(answerSeconds * 1000);
  const time = Math.floor(Date.now() / 1000);
  const headers = {
    "content-type": "application/json",
    "croft-event": event,
    ...(secret === undefined ? {} : signatureHeaders(secret, `croft-${id}`, time, body)),
  };
  try {
    const any = AbortSignal.any([signal, timeout]);
    const { status, retryAfterSeconds } = await post({ url, headers, body, isLocal, signal: any });
    const answer = String(status);
    if (status >= 200 && status < 300) return { answer, trouble: null };
    const where = status >= 300 && status < 400 ? ", and leads elsewhere, which is not followed" : "";
    const trouble = `the receiver answered ${status}${where}`;
    return { answer, trouble, isFinal: status === 410, afterSeconds: retryAfterSeconds };
  } catch (error) {
    if (error instanceof UnreachableError) return { answer: null, trouble: error.message, isFinal: true };
    if (timeout.aborted) return { answer: null, trouble: `there was no answer within ${answerSeconds} s` };
    const { code } = error as NodeJS.ErrnoException;
    return { answer: null, trouble: code ?? reasonOf(error) };
  }
}
