/** Controllers that a user has logged in to, with their tokens: `~/.config/croft/logins.json`, which is the user's alone. */
import { readFileSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { writeDurably } from "../../os/files/durable.ts";
import { attempt, Failure, isSystemError, reasonOf } from "../../os/failure.ts";

/** What is kept. */
interface Logins {
  /** The one that commands ask which are told of none. */
  controller: string | null;
  /** Token by URL, without a slash at the end. */
  tokens: Record<string, string>;
}

/** The file, by the XDG Base Directory Specification (https://specifications.freedesktop.org/basedir-spec/latest/). */
export function loginsFile(): string {
  const configured = process.env["XDG_CONFIG_HOME"];
  return join(configured?.startsWith("/") ? configured : join(homedir(), ".config"), "croft", "logins.json");
}

/** @throws {Failure} if the file is not what it should be, or others may read it. */
export function readLogins(): Logins {
  const file = loginsFile();
  try {
    if ((statSync(file).mode & 0o077) !== 0)
      throw new Failure(`use the logins in '${file}'`, "other users may read or change it", {
        hints: [`chmod 600 '${file}', and log in again if somebody may have read it.`],
      });
    const { controller = null, tokens = {} } = JSON.parse(readFileSync(file, "utf8")) as Partial<Logins>;
    return { controller, tokens };
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR")) return { controller: null, tokens: {} };
    if (error instanceof Failure) throw error;
    throw new Failure(`read the logins in '${file}'`, reasonOf(error), { cause: error });
  }
}

/** @throws {Failure} if they cannot be written. */
export async function writeLogins(logins: Logins): Promise<void> {
  const file = loginsFile();
  const directory = dirname(file);
  await attempt(`make the directory '${directory}'`, mkdir(directory, { recursive: true, mode: 0o700 }));
  await writeDurably(file, `${JSON.stringify(logins, undefined, 2)}\n`);
}
