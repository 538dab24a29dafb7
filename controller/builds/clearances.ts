/**
 * What a build may have of what is kept from strangers. It is *trusted* if the controller itself knows where its commit came
 * from, never by its repository's URL; only then it has secrets. It is *private* if it has any, if its repository needs a
 * credential here, or if it is a working tree of somebody who has a token.
 *
 * A working tree is handed to nobody but the agent that builds it. Whoever reaches a controller that knows no keys of agents can
 * play an agent, so there only this host's own users may submit one.
 */
import { Failure } from "../../os/failure.ts";
import { hasUserInfo } from "../../os/text/credentials.ts";
import type { Vault } from "../secrets/vault.ts";
import type { Clearance } from "./queue.ts";
import type { Specification } from "./specification.ts";

/** Who has builds queued. */
export interface Requester {
  /** Whether the controller knows them, by a token or as a forge. */
  isKnown: boolean;
  isTrusted: boolean;
}

/** Somebody who has no token, where none is needed. */
export const anybody: Requester = { isKnown: false, isTrusted: false };

const agentKeysHint =
  "Make the public key of each agent known (croft agent key add, or agents.keys), and start agents with --auth-key.";

export class Clearances {
  readonly #vault: Pick<Vault, "missing" | "needsCredential">;
  readonly #keys: { isRequired: boolean };
  readonly #isOfHostAlone: boolean;

  /** @param isOfHostAlone whether nobody reaches the controller but from its own host. */
  constructor(
    vault: Pick<Vault, "missing" | "needsCredential">,
    keys: { isRequired: boolean },
    isOfHostAlone: boolean,
  ) {
    this.#vault = vault;
    this.#keys = keys;
    this.#isOfHostAlone = isOfHostAlone;
  }

  /** @throws {Failure} if the build would have what the requester may not have it given. */
  async of(what: Specification, { isKnown, isTrusted }: Requester): Promise<Clearance> {
    const { name, repository, secrets = [], interactive, tree } = what;
    const refuse = (reason: string, ...hints: string[]) => new Failure(`build ${name}`, reason, { hints });
    if (hasUserInfo(repository))
      throw refuse(
        "its URL has a user or password in it, which everybody could read who sees the build",
        "Keep it where nobody reads it: croft credential set URL --user NAME, and submit the URL without it.",
      );
    if (secrets.length > 0 && !isTrusted)
      throw refuse(
        "secrets go to trusted builds only",
        "Submit it with a token of the role 'trusted': croft token create NAME --role trusted",
      );
    const missing = await this.#vault.missing(secrets, repository);
    if (missing.length > 0)
      throw refuse(`there is no secret '${missing[0]}' for its repository`, "See: croft secret list");
    const needsCredential = await this.#vault.needsCredential(repository);
    if (needsCredential && !isKnown)
      throw refuse("its repository needs a credential, which is used for those alone who have a token");
    const hasSecrets = secrets.length > 0 || needsCredential;
    const isPrivate = hasSecrets || (tree !== undefined && isKnown);
    if (isPrivate && interactive !== undefined)
      throw refuse(
        `whoever reaches the screen of an interactive build would read its ${hasSecrets ? "secrets" : "working tree"}`,
      );
    if (hasSecrets && !this.#keys.isRequired)
      throw refuse(
        "it is given only to agents that prove who they are, and none can: no key of an agent is known",
        agentKeysHint,
      );
    if (tree !== undefined && !this.#keys.isRequired && !this.#isOfHostAlone)
      throw refuse(
        "its working tree would be handed to whoever reaches this controller and asks for a task: no key of an agent is known",
        agentKeysHint,
      );
    return { isTrusted, isPrivate, hasSecrets };
  }
}
