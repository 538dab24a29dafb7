/** The key that answers the controllers' challenges. */
import { stat } from "node:fs/promises";
import { isSystemError, reasonOf } from "../../os/failure.ts";
import type { Settings } from "../settings/settings.ts";
import { openSigner } from "../wire/signing.ts";
import { ok, problem, warning, type Check, type Finding } from "./check.ts";

export const keyChecks: readonly Check[] = [{ name: "key", run: checkKey }];

async function checkKey({ authKey, openssl }: Settings, signal: AbortSignal): Promise<Finding[]> {
  const subject = "key";
  if (authKey === undefined)
    return [ok(subject, "none: controllers that want to know who asks give no task (--auth-key)")];
  const findings: Finding[] = [];
  try {
    const { mode } = await stat(authKey);
    if ((mode & 0o007) !== 0)
      findings.push(
        problem(
          subject,
          `everybody may read or change ${authKey} (mode ${octal(mode)})`,
          `chmod 600 ${authKey}`,
        ),
      );
    else if ((mode & 0o070) !== 0)
      findings.push(
        warning(
          subject,
          `a group may read or change ${authKey} (mode ${octal(mode)})`,
          `chmod 600 ${authKey}`,
        ),
      );
  } catch (error) {
    // In a token it is no file, and its name may hold a PIN.
    if (!openssl || !isSystemError(error, "ENOENT"))
      return [problem(subject, `${authKey}: ${reasonOf(error)}`, makeOne(authKey))];
  }
  const key = openssl ? `used by ${openssl.program}` : authKey;
  try {
    const { fingerprint } = await openSigner(authKey, openssl, signal);
    findings.push(ok(subject, `${key}, fingerprint ${fingerprint}`));
  } catch (error) {
    signal.throwIfAborted();
    const fix = openssl ? "Mend --auth-key, --openssl and --openssl-option" : makeOne("NEW-FILE");
    findings.push(problem(subject, reasonOf(error), fix));
  }
  return findings;
}

function makeOne(path: string): string {
  return `Make one: (umask 077; openssl genrsa -out ${path} 4096), and give its public key to the controllers`;
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, "0");
}
