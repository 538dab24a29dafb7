/**
 * Agents that were heard of by any of the controllers on the database: what they offered last, and what they do. What is
 * heard is collected and written down every few seconds, all of it by one statement: an agent that asks in vain costs no
 * query of its own.
 */
import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { onceForAll } from "../../os/once-for-all.ts";
import { freshMs, type Offer } from "../builds/offer.ts";
import type { Database } from "../database/database.ts";

const writeEveryMs = 15_000;
const keptDays = 7;
/** An agent that names itself anew each time must not fill the table. */
const mostKept = 10_000;
const clearEveryMs = 3_600_000;
/** Names of machines that are kept of one agent. */
const mostMachines = 200;

/** A build that an agent has. */
interface AgentBuild {
  agent: string;
  machine: string;
  toolchain: string;
  since: Date;
  build: number;
  name: string;
  version: string;
  target: string;
  isPrivate: boolean;
}

/** `idle`: it asks for tasks; `silent`: it has not been heard of for longer than an idle one is quiet. */
export type AgentState = "building" | "idle" | "silent";

/** An agent as all controllers know it. */
export interface KnownAgent {
  name: string;
  state: AgentState;
  offer: Offer;
  /** Of croft; null for one of another make. */
  version: string | null;
  /** Whether it was given nothing when it asked last, not long ago. */
  waits: boolean;
  heardAt: Date;
  builds: readonly AgentBuild[];
}

interface Heard {
  /** Absent: it was heard of, but offered nothing. */
  offer?: Offer;
  version: string | null;
  waits: boolean;
  atMs: number;
}

interface Row {
  name: string;
  offer: Offer;
  version: string | null;
  waits: boolean;
  fresh: boolean;
  heard_at: Date;
}

export class Agents implements AsyncDisposable {
  readonly #database: Database;
  readonly #log: Log;
  readonly #now: () => number;
  #heard = new Map<string, Heard>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #clearedAtMs = -Infinity;
  #written = 0;
  /** Of a thousand agents it takes many milliseconds, and each page and each reason why a build waits asks for it. */
  readonly #listed = onceForAll((withPrivate: boolean) => this.#list(withPrivate));

  /** @param now a clock that is never set, in milliseconds */
  constructor(database: Database, log: Log, now: () => number = () => performance.now()) {
    this.#database = database;
    this.#log = log;
    this.#now = now;
  }

  /**
   * An agent has asked for a task.
   *
   * @param version of croft, if that is what it is
   * @param waits it was given none
   */
  asked(offer: Offer, version: string | null, waits: boolean): void {
    const kept = { ...offer, machines: offer.machines.slice(0, mostMachines) };
    this.#note(offer.agent, { offer: kept, version, waits, atMs: this.#now() });
  }

  /** An agent has ended a build. */
  ended(agent: string): void {
    this.#note(agent, { version: null, ...this.#heard.get(agent), waits: false, atMs: this.#now() });
  }

  /**
   * All agents by name, as they are now; those of other controllers as of some seconds ago. Without private builds, one
   * that performs such a build looks as if it worked for another controller: idle for a while, then silent.
   */
  async list(withPrivate = true): Promise<readonly KnownAgent[]> {
    return await this.#listed(withPrivate);
  }

  async #list(withPrivate: boolean): Promise<readonly KnownAgent[]> {
    await this.write();
    const rows = await this.#database.query<Row>(
      `select *, heard_at > now() - $1::integer * interval '1 millisecond' as fresh from croft.agents
       where heard_at > now() - $2::integer * interval '1 day'`,
      [freshMs, keptDays],
    );
    const all = await buildsOf(this.#database);
    const shown = all.filter(({ isPrivate }) => withPrivate || !isPrivate);
    const builds = Map.groupBy(shown, ({ agent }) => agent);
    const heard = new Set(rows.map(({ name }) => name));
    for (const [name, held] of builds) if (!heard.has(name)) rows.push(unheard(name, held));
    rows.sort((one, other) => (one.name < other.name ? -1 : 1));
    const hidden = new Set(
      withPrivate ? [] : all.filter(({ isPrivate }) => isPrivate).map(({ agent }) => agent),
    );
    return rows.map((row) =>
      stateOf({ ...row, waits: row.waits || hidden.has(row.name) }, builds.get(row.name) ?? []),
    );
  }

  /** Writes down what was heard. */
  async write(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write());
    await this.#writing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.write();
  }

  #note(agent: string, heard: Heard): void {
    if (this.#heard.size >= mostKept) return;
    this.#heard.set(agent, heard);
    this.#timer ??= setTimeout(() => void this.write(), writeEveryMs).unref();
  }

  async #write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#heard.size === 0) return;
    const heard = this.#heard;
    this.#heard = new Map();
    try {
      await this.#insert(heard);
      await this.#clear(heard.size);
    } catch (error) {
      this.#log.warn({ reason: reasonOf(error) }, "cannot write down which agents were heard of");
    }
  }

  async #insert(heard: ReadonlyMap<string, Heard>): Promise<void> {
    const rows = [...heard].map(([name, { atMs, ...rest }]) => ({
      name,
      ...rest,
      age_ms: this.#now() - atMs,
    }));
    // In the order of their names: another controller may be writing the same.
    const values = `select * from jsonb_to_recordset($1::jsonb)
      as heard (name text, offer jsonb, version text, waits boolean, age_ms float8) order by name`;
    const time = "now() - heard.age_ms * interval '1 millisecond'";
    const offered = rows.filter(({ offer }) => offer !== undefined);
    if (offered.length > 0)
      await this.#database.query(
        `insert into croft.agents (name, offer, version, waits, heard_at)
         select name, offer, version, waits, ${time} from (${values}) as heard
         on conflict (name) do update set offer = excluded.offer, version = excluded.version, waits = excluded.waits,
           heard_at = excluded.heard_at where agents.heard_at <= excluded.heard_at`,
        [JSON.stringify(offered)],
      );
    if (offered.length < rows.length)
      await this.#database.query(
        `update croft.agents set waits = false, heard_at = greatest(agents.heard_at, ${time})
         from (${values}) as heard where agents.name = heard.name`,
        [JSON.stringify(rows.filter(({ offer }) => offer === undefined))],
      );
  }

  async #clear(written: number): Promise<void> {
    this.#written += written;
    if (this.#now() - this.#clearedAtMs < clearEveryMs && this.#written < mostKept) return;
    [this.#clearedAtMs, this.#written] = [this.#now(), 0];
    await this.#database.query(
      `delete from croft.agents where heard_at < now() - $1::integer * interval '1 day'
         or name in (select name from croft.agents order by heard_at desc offset $2::integer)`,
      [keptDays, mostKept],
    );
  }
}

async function buildsOf(database: Database): Promise<AgentBuild[]> {
  return await database.query<AgentBuild>(
    `select s.agent, s.machine, s.toolchain, s.created_at as since, b.id as build, b.name, b.version, b.target,
       b.is_private as "isPrivate"
     from croft.sessions s join croft.builds b on b.id = s.build where s.state = 'active' order by s.created_at`,
  );
}

/** One that was given a build before agents were written down, or by a controller that has not done so yet. */
function unheard(name: string, builds: readonly AgentBuild[]): Row {
  const { toolchain, since } = builds[0]!;
  const machines = builds.map(({ machine }) => machine);
  const offer: Offer = { agent: name, toolchain, interactive: "false", machines };
  return { name, offer, version: null, waits: false, fresh: false, heard_at: since };
}

function stateOf({ fresh, waits, heard_at, ...row }: Row, builds: readonly AgentBuild[]): KnownAgent {
  const state = builds.length > 0 ? "building" : fresh ? "idle" : "silent";
  return { ...row, state, waits: fresh && waits, heardAt: heard_at, builds };
}
