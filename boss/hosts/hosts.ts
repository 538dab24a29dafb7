import { UsageFailure } from "../../os/failure.ts";

/** A host that builds. */
export interface Host {
  /** In messages and results. */
  readonly name: string;
  /** What ssh is told: a host name or alias, perhaps with a user; undefined for this machine. */
  readonly destination: string | undefined;
  /** Targets at a time; undefined: as many as it has threads. */
  readonly maxBuilds?: number;
  /** Where it builds; `~/` is the home directory there. */
  readonly workDirectory: string;
}

/** The machine that the boss runs on, as one more worker. */
export const localName = "local";

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/** What is wrong with a name of a host, or undefined. */
export function checkHostName(name: string): string | undefined {
  return namePattern.test(name) ? undefined : "expected letters, digits, '.', '_' and '-'";
}

/** What is wrong with a destination, or undefined; one that looks like an option must never reach ssh. */
export function checkDestination(text: string): string | undefined {
  if (text.startsWith("-")) return "it must not start with '-'";
  if (text.includes(":"))
    return "expected [USER@]HOST; a port or an IPv6 address belongs into ssh's configuration";
  return /^[^\s]+$/.test(text) ? undefined : "expected [USER@]HOST without blanks";
}

/**
 * Parses `NAME[=DESTINATION][:max-builds=N],…`, the value of `--hosts`.
 *
 * @throws {UsageFailure}
 */
export function parseHosts(text: string, workDirectory: string): Host[] {
  return text.split(",").map((item) => {
    const fail = (reason: string) => new UsageFailure(`use host '${item}'`, reason);
    const [, name = "", destination, settings] = /^([^=:]*)(?:=([^:]*))?(?::(.*))?$/s.exec(item) ?? [];
    const wrong =
      checkHostName(name) ?? (destination === undefined ? undefined : checkDestination(destination));
    if (wrong !== undefined) throw fail(wrong);
    const [, digits] = settings === undefined ? [] : (/^max-builds=(\d{1,4})$/.exec(settings) ?? []);
    if (settings !== undefined && !(Number(digits) >= 1)) throw fail("expected :max-builds=N after it");
    return {
      name,
      destination: destination ?? name,
      workDirectory,
      ...(digits === undefined ? {} : { maxBuilds: Number(digits) }),
    };
  });
}
