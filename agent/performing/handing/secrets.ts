/**
 * What a machine is given that nobody else may know: fetched for the session once its machine is there, by a signed request,
 * kept in memory, and handed to the machine by its control port (control-port.ts) or, where it is booted, as a file of the
 * exchange that lies nowhere and can be got once. It is no part of the task: spool, `--dump-task`, status and logs have
 * nothing of it.
 */
import { Failure } from "../../../os/failure.ts";
import { isUnreadOnItsWay } from "../../../os/network/listen-address.ts";
import { withoutSecrets } from "../../../os/network/url.ts";
import { handedSecretsMaxBytes } from "../../../manifests/own/handed-secrets.ts";
import type { ReceivedTask } from "../../task-state/received-task.ts";
import { Rejection } from "../../wire/answers.ts";
import type { PerformingContext } from "../context.ts";

/** Its name in the exchange. */
export const secretsFile = "secrets";

/** The body has to be something: who asks, and for what, stands beside it. */
const body = Buffer.from("secrets\n");

/** The controller does not give them, or this agent does not fetch them: another attempt here would end the same. */
export class RefusedSecrets extends Failure {}

/** What fetching needs of a running agent. */
interface Fetching extends Pick<PerformingContext, "signer" | "workerVersion"> {
  client: Pick<PerformingContext["client"], "postManifest">;
}

/**
 * Fetches what the machine of a task is given.
 *
 * @returns undefined if it is given nothing.
 * @throws {@link RefusedSecrets}; {@link Failure} if the controller cannot be reached; the signal's reason if aborted.
 */
export async function fetchSecrets(
  { client, signer, workerVersion }: Fetching,
  { secretsUrl }: Pick<ReceivedTask, "secretsUrl">,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  if (secretsUrl === undefined) return undefined;
  const refuse = (reason: string, cause?: unknown) =>
    new RefusedSecrets(`fetch the secrets of ${withoutSecrets(new URL("/", secretsUrl).href)}`, reason, {
      cause,
    });
  // Another worker would build without them, and say nothing of it.
  if (workerVersion === undefined) throw refuse("the worker of the machine is not croft's, and takes none");
  if (!signer) throw refuse("there is no key to prove with who asks (--auth-key)");
  try {
    const answer = await client.postManifest(secretsUrl, body, { signal }, async (url) => {
      // Also where a redirection leads to.
      if (!isUnreadOnItsWay(url))
        throw refuse("others could read them on their way: the URL is no https one");
      return { "croft-proof": await signer.prove({ method: "POST", url, body }, signal) };
    });
    if (answer.body.length > handedSecretsMaxBytes) throw refuse(`they have ${answer.body.length} bytes`);
    return answer.body;
  } catch (error) {
    if (error instanceof Rejection) throw refuse(error.message, error);
    throw error;
  }
}

/** @throws {Failure} if there are any: whoever is on the host could get them. */
export function assertNone(secrets: Uint8Array | undefined, machine: string): void {
  if (secrets) throw new Failure(`use the fake machine '${machine}'`, "it is given no secrets");
}
