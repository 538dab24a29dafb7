/**
 * The public keys of agents: who may take tasks, and whose results count. Some lie in a directory that the configuration
 * names, others were added while the controller runs, and lie in the database.
 *
 * All of them are in memory. What is added or revoked counts at once at the controller that is told, within a moment at
 * others of its database, and within some seconds where files have changed or other controllers are not heard of.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { statSync } from "node:fs";
import { assertFailure, Failure, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { startLoop } from "../../os/loop.ts";
import type { Session } from "../builds/session.ts";
import type { Changes } from "../builds/noting/changes.ts";
import type { Database } from "../database/database.ts";
import { fingerprintOf, publicKeyIn, readAgentKeys, type NamedKey } from "./key-files.ts";

/** What is listed of a key. */
export interface ListedKey {
  name: string;
  fingerprint: string;
  /** Null: it lies in the directory. */
  createdAt: string | null;
}

interface Row {
  name: string;
  fingerprint: string;
  pem: string;
  created_at: Date;
}

interface KeyParts {
  readonly database: Database;
  readonly changes: Changes;
  readonly log: Log;
}

const lookEveryMs = 5000;

/** Keys of agents; disposing of them ends looking for new ones. */
export class AgentKeys implements AsyncDisposable {
  readonly #directory: string | undefined;
  readonly #parts: KeyParts;
  #inFiles: readonly NamedKey[];
  #readAtMs: number;
  #added: readonly (NamedKey & { createdAt: Date })[] = [];
  #byFingerprint: ReadonlyMap<string, KeyObject> = new Map();
  #last: Promise<unknown> = Promise.resolve();
  #stack = new AsyncDisposableStack();

  private constructor(directory: string | undefined, parts: KeyParts) {
    this.#directory = directory;
    this.#parts = parts;
    this.#readAtMs = this.#changedAtMs();
    this.#inFiles = directory === undefined ? [] : readAgentKeys(directory);
  }

  /**
   * Reads all keys.
   *
   * @throws {Failure} if a file of the directory is none, or it has none at all.
   */
  static async open(directory: string | undefined, parts: KeyParts): Promise<AgentKeys> {
    const keys = new AgentKeys(directory, parts);
    await keys.#look();
    keys.#stack.use(parts.changes.subscribe(["key"], () => void keys.#lookAgain()));
    keys.#stack.use(parts.changes.onGap(() => void keys.#lookAgain()));
    keys.#stack.use(startLoop((signal) => keys.#keepLooking(signal)));
    return keys;
  }

  /** Whether agents need a key; while there is none at all, any agent is served. */
  get isRequired(): boolean {
    return this.#directory !== undefined || this.#added.length > 0;
  }

  get(fingerprint: string): KeyObject | undefined {
    return this.#byFingerprint.get(fingerprint);
  }

  /** Whether the key is gone that the agent of a session was known by. */
  isRevokedFor({ challenge, fingerprint }: Pick<Session, "challenge" | "fingerprint">): boolean {
    return challenge !== null && this.get(fingerprint ?? "") === undefined;
  }

  /** By name. */
  list(): ListedKey[] {
    const listed = [
      ...this.#inFiles.map(({ name, fingerprint }) => ({ name, fingerprint, createdAt: null })),
      ...this.#added.map(({ name, fingerprint, createdAt }) => ({
        ...{ name, fingerprint },
        createdAt: createdAt.toISOString(),
      })),
    ];
    return listed.sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /**
   * Adds a key; agents that have it are served from now on.
   *
   * @throws {Failure} if it is no RSA public key, or there is one of this name, or itself.
   */
  async add(name: string, text: string): Promise<ListedKey> {
    const action = `add the key of agent '${name}'`;
    let key: KeyObject;
    try {
      key = publicKeyIn(text);
    } catch (error) {
      throw new Failure(action, reasonOf(error), {
        hints: ["Make one with: openssl rsa -pubout -in agent.key -out agent.pem"],
      });
    }
    const fingerprint = fingerprintOf(key);
    const same = this.list().find((one) => one.fingerprint === fingerprint);
    if (same) throw new Failure(action, `it is known already, by the name '${same.name}'`);
    if (this.list().some((one) => one.name === name)) throw new Failure(action, "there is one of that name");
    const [added] = await this.#parts.database.query<Row>(
      `insert into croft.agent_keys (fingerprint, name, pem) values ($1, $2, $3) on conflict do nothing
       returning created_at`,
      [fingerprint, name, key.export({ type: "spki", format: "pem" })],
    );
    if (!added) throw new Failure(action, "it was added just now");
    await this.#changed();
    return { name, fingerprint, createdAt: added.created_at.toISOString() };
  }

  /**
   * Makes a key unknown. What its agents have is offered to others soon, which is no fault of those hosts, and their results do
   * not count.
   *
   * @throws {Failure} if there is none of that name, or it lies in the directory.
   */
  async revoke(name: string): Promise<void> {
    const action = `revoke the key of agent '${name}'`;
    const gone = await this.#parts.database.transaction(async (sql) => {
      const [row] = await sql.query<Row>(
        "delete from croft.agent_keys where name = $1 returning fingerprint",
        [name],
      );
      if (row)
        await sql.query(
          `update croft.sessions set expires_at = now(),
             signs_until = case when signs_until is not null then now() end
           where fingerprint = $1 and state = 'active'`,
          [row.fingerprint],
        );
      return row;
    });
    await this.#changed();
    if (gone) return;
    if (this.#inFiles.some((one) => one.name === name))
      throw new Failure(action, "it lies in the directory that the configuration names", {
        hints: [`Remove '${this.#directory}/${name}.pem': it is unknown some seconds later.`],
      });
    throw new Failure(action, "there is none", { hints: ["See: croft agent key list"] });
  }

  async #changed(): Promise<void> {
    await this.#lookAgain();
    this.#parts.changes.announce("key", 0);
  }

  /** One after the other: what was read last is the newest. */
  async #lookAgain(): Promise<void> {
    const looked = this.#last.then(() => this.#look());
    this.#last = looked.catch((error: unknown) =>
      this.#parts.log.warn({ reason: reasonOf(error) }, "cannot read the keys of agents; trying again"),
    );
    await this.#last;
  }

  async #look(): Promise<void> {
    const rows = await this.#parts.database.query<Row>("select * from croft.agent_keys order by name");
    this.#added = rows.map(({ name, fingerprint, pem, created_at: createdAt }) => ({
      ...{ name, fingerprint, createdAt },
      key: createPublicKey(pem),
    }));
    const all = [...this.#inFiles, ...this.#added];
    this.#byFingerprint = new Map(all.map(({ fingerprint, key }) => [fingerprint, key]));
  }

  async #keepLooking(signal: AbortSignal): Promise<void> {
    for (;;) {
      await sleep(lookEveryMs, undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted) return;
      const changedAtMs = this.#changedAtMs();
      const hasChanged = changedAtMs !== this.#readAtMs;
      if (hasChanged) this.#readFiles(changedAtMs);
      if (hasChanged || !this.#parts.changes.complete) await this.#lookAgain();
    }
  }

  #readFiles(changedAtMs: number): void {
    const { log } = this.#parts;
    try {
      this.#inFiles = readAgentKeys(this.#directory!, (bad) =>
        log.warn({ reason: bad.message }, "no key of an agent"),
      );
      this.#readAtMs = changedAtMs;
      log.info({ keys: this.#inFiles.length }, "the keys of agents were read again");
    } catch (error) {
      assertFailure(error);
      log.warn({ reason: error.message }, "cannot read the keys of agents again; those from before count");
    }
  }

  /** When a file came to the directory or went; one that is written over keeps its content until then. */
  #changedAtMs(): number {
    if (this.#directory === undefined) return 0;
    return statSync(this.#directory, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
