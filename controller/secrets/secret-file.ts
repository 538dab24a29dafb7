/** Secrets in files that the controller's configuration names, so that it may be read by others. */
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { Failure, reasonOf, type FailureOptions } from "../../os/failure.ts";

/** What is known only to who may read it, and is not guessed. */
const shortestSecret = 16;

/**
 * Reads one.
 *
 * @param fail makes the failure, with the place in the configuration.
 * @throws {Failure} if it cannot be read, everybody may read it, or it is shorter than `shortest` characters.
 */
export function readSecretFile(
  file: string,
  fail: (reason: string, options?: FailureOptions) => Failure,
  shortest = shortestSecret,
): string {
  const place = resolve(file);
  let secret: string;
  try {
    if ((statSync(place).mode & 0o007) !== 0)
      throw fail(`every user of this host may read '${place}'`, { hints: [`chmod 600 ${place}`] });
    secret = readFileSync(place, "utf8").trim();
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw fail(`cannot read '${place}': ${reasonOf(error)}`, { cause: error });
  }
  if (secret.length < shortest)
    throw fail(
      secret === ""
        ? `there is nothing in '${place}'`
        : `the secret in '${place}' has fewer than ${shortest} characters`,
      { hints: shortest > 1 ? ["openssl rand -hex 32 makes one that nobody guesses."] : [] },
    );
  return secret;
}
