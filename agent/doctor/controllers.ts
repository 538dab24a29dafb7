/** Whether the controllers can be reached, with certificates that hold; no task is asked for. */
import { request as requestPlain, type IncomingMessage } from "node:http";
import { request as requestSecure } from "node:https";
import type { TLSSocket } from "node:tls";
import { reasonOf } from "../../os/failure.ts";
import { packageVersion } from "../../os/files/package.ts";
import { withoutSecrets } from "../../os/network/url.ts";
import { formatDuration } from "../../os/text/duration.ts";
import { redirectionOf } from "../wire/http.ts";
import { proxyAgentFor } from "../wire/proxies.ts";
import type { Settings } from "../settings/settings.ts";
import { ok, problem, warning, type Check, type Finding } from "./check.ts";

const patienceSeconds = 8;
const skewMaximumSeconds = 60;
const expiryDays = 14;

export const controllerChecks: readonly Check[] = [{ name: "controllers", run: checkControllers }];

async function checkControllers({ controllers }: Settings, signal: AbortSignal): Promise<Finding[]> {
  if (controllers.length === 0)
    return [
      warning("controllers", "none given", "croft doctor [PRIORITY=]URL…, or controllers: in --config FILE"),
    ];
  const urls = [...new Set(controllers.map(({ url }) => url))];
  return (await Promise.all(urls.map((url) => checkController(url, signal)))).flat();
}

async function checkController(url: string, signal: AbortSignal): Promise<Finding[]> {
  const shown = withoutSecrets(url);
  const subject = `controller ${shown}`;
  const patience = AbortSignal.timeout(patienceSeconds * 1000);
  try {
    const answer = await head(url, AbortSignal.any([signal, patience]));
    return [
      judgeAnswer(subject, url, answer),
      ...judgeClock(shown, answer, Date.now()),
      ...judgeCertificate(subject, answer),
    ];
  } catch (error) {
    signal.throwIfAborted();
    const reason = patience.aborted ? `no answer within ${patienceSeconds} s` : reasonOf(error);
    return [problem(subject, `cannot be reached: ${reason}`, connectionFix(url, error))];
  }
}

interface HeadAnswer {
  status: number;
  location: string | undefined;
  date: string | undefined;
  /** End of the server's certificate. */
  validTo: string | undefined;
}

/** Asks by HEAD, which gives no task: that takes a POST with machines. */
function head(url: string, signal: AbortSignal): Promise<HeadAnswer> {
  const request = url.startsWith("https:") ? requestSecure : requestPlain;
  return new Promise((resolve, reject) => {
    const options = {
      method: "HEAD",
      signal,
      agent: proxyAgentFor(url) ?? (false as const),
      headers: { "user-agent": `croft/${packageVersion}` },
    };
    const sent = request(url, options, (response: IncomingMessage) => {
      const { location, date } = response.headers;
      const certificate = (response.socket as Partial<TLSSocket>).getPeerCertificate?.();
      resolve({ status: response.statusCode ?? 0, location, date, validTo: certificate?.valid_to });
      response.destroy();
    });
    sent.on("error", reject);
    sent.end();
  });
}

/** An answer of any kind but these shows that an HTTP server is there; whether it is the right one, only a task shows. */
function judgeAnswer(subject: string, url: string, { status, location }: HeadAnswer): Finding {
  if (status >= 300 && status < 400) {
    const followed = redirectionOf(url, { status, headers: { location }, body: Buffer.alloc(0) });
    const found = `redirects to ${location}`;
    if (followed !== undefined)
      return warning(subject, found, "Use that URL: it spares a request each time.");
    return problem(subject, `${found} by ${status}, which agents do not follow`, "Use that URL.");
  }
  if (status >= 500) return warning(subject, `answers ${status}`, "Look into the controller's log.");
  return ok(subject, `answers (HTTP ${status})`);
}

/** The header has whole seconds, and the answer has travelled: less than a minute says nothing. */
export function judgeClock(controller: string, { date }: Pick<HeadAnswer, "date">, now: number): Finding[] {
  const theirs = Date.parse(date ?? "");
  if (Number.isNaN(theirs)) return [];
  const skewSeconds = (now - theirs) / 1000;
  if (Math.abs(skewSeconds) <= skewMaximumSeconds) return [];
  return [
    warning(
      "clock",
      `this host's is ${formatDuration(Math.abs(skewSeconds))} ${skewSeconds > 0 ? "ahead of" : "behind"} that of ${controller}`,
      "timedatectl set-ntp true, on the host that is wrong",
    ),
  ];
}

function judgeCertificate(subject: string, { validTo }: HeadAnswer): Finding[] {
  const days = (Date.parse(validTo ?? "") - Date.now()) / 86_400_000;
  if (Number.isNaN(days) || days > expiryDays) return [];
  return [
    warning(subject, `its certificate ends in ${Math.floor(days)} days`, "Renew it at the controller."),
  ];
}

const certificateFixes: Record<string, string> = {
  CERT_HAS_EXPIRED: "Renew its certificate; see whether this host's clock is right: date",
  CERT_NOT_YET_VALID: "See whether this host's clock is right: date",
  ERR_TLS_CERT_ALTNAME_INVALID: "Use the name that the certificate is for.",
};
const authorityFix =
  "Have the agent trust its authority: NODE_EXTRA_CA_CERTS=/etc/croft/ca.pem in its environment";
const unknownAuthority =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(VERIFY|GET)\w+)$/;

function connectionFix(url: string, error: unknown): string {
  const code = String((error as NodeJS.ErrnoException | null)?.code);
  const { hostname, port, protocol } = new URL(url);
  if (certificateFixes[code]) return certificateFixes[code];
  if (unknownAuthority.test(code)) return authorityFix;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return `See whether the name is right: getent hosts ${hostname}`;
  const target = port || (protocol === "https:" ? "443" : "80");
  return `See whether it runs, and what is between: curl -I ${protocol}//${hostname}:${target}/`;
}
