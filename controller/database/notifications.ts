/**
 * What controllers on one database server tell each other, by `LISTEN` and `NOTIFY`: which builds have changed, and that
 * something was paused, or a key of agents added or revoked. Each keeps one
 * connection to listen on. What it tells is collected: changes of states for a moment, grown logs for a second.
 *
 * A message is `SENDER KIND ID,ID…`, at most some hundred bytes of the 7,999 that a payload may have.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import type { Sql } from "./database.ts";

const channel = "croft_changes";
const idsAtOnce = 500;
const pauseMs = { state: 5, log: 1000, pause: 0, key: 0 };
const reconnectMs = 2000;

type Kind = keyof typeof pauseMs;

/** Who hears, and is told of, changes. */
interface Listener {
  /** Whether nothing goes unheard from now on. */
  complete: boolean;
  hear(kind: Kind, build: number): void;
  tellOthers(tell: (kind: Kind, build: number) => void): void;
}

/** Connects a controller with the others on its database; disposing of it ends that. */
export function exchangeChanges(url: string, sql: Sql, listener: Listener, log: Log): AsyncDisposable {
  const sender = randomUUID();
  const ended = new AbortController();
  listener.complete = false;
  const loop = listen(url, sender, listener, log, ended.signal);
  const outbox = new Outbox(sql, sender, log);
  listener.tellOthers((kind, build) => outbox.add(kind, build));
  return {
    [Symbol.asyncDispose]: async () => {
      listener.tellOthers(() => {});
      ended.abort();
      await loop;
      await outbox.end();
    },
  };
}

async function listen(url: string, sender: string, listener: Listener, log: Log, signal: AbortSignal) {
  while (!signal.aborted) {
    const client = new Client({ connectionString: url, keepAlive: true, connectionTimeoutMillis: 10_000 });
    const broken = Promise.withResolvers<unknown>();
    client.on("error", broken.resolve);
    client.on("end", () => broken.resolve(new Error("the connection ended")));
    client.on("notification", ({ payload = "" }) => {
      const [from, kind, ids = ""] = payload.split(" ");
      if (from === sender || !isKind(kind)) return;
      for (const id of ids.split(",")) listener.hear(kind, Number(id));
    });
    const stop = () => broken.resolve(undefined);
    signal.addEventListener("abort", stop, { once: true });
    try {
      await client.connect();
      await client.query(`listen ${channel}`);
      listener.complete = !signal.aborted;
      const reason = signal.aborted ? undefined : await broken.promise;
      if (reason !== undefined) throw reason;
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, "cannot hear of the other controllers' changes; trying again");
    } finally {
      listener.complete = false;
      signal.removeEventListener("abort", stop);
      await client.end().catch(() => {});
    }
    await sleep(reconnectMs, undefined, { signal }).catch(() => {});
  }
}

/** Controllers of later versions may tell of others. */
function isKind(text: string | undefined): text is Kind {
  return text !== undefined && Object.hasOwn(pauseMs, text);
}

/** Changes that the others have not been told of. */
class Outbox {
  readonly #sql: Sql;
  readonly #sender: string;
  readonly #log: Log;
  readonly #waiting = {
    state: new Set<number>(),
    log: new Set<number>(),
    pause: new Set<number>(),
    key: new Set<number>(),
  };
  readonly #sending = new Map<Kind, Promise<void>>();
  readonly #ended = new AbortController();

  constructor(sql: Sql, sender: string, log: Log) {
    this.#sql = sql;
    this.#sender = sender;
    this.#log = log;
  }

  add(kind: Kind, build: number): void {
    this.#waiting[kind].add(build);
    if (this.#sending.has(kind)) return;
    this.#sending.set(
      kind,
      this.#send(kind).finally(() => this.#sending.delete(kind)),
    );
  }

  /** Sends what is left. */
  async end(): Promise<void> {
    this.#ended.abort();
    await Promise.all(this.#sending.values());
  }

  async #send(kind: Kind): Promise<void> {
    const waiting = this.#waiting[kind];
    while (waiting.size > 0) {
      await sleep(pauseMs[kind], undefined, { signal: this.#ended.signal }).catch(() => {});
      const ids = [...waiting].slice(0, idsAtOnce);
      for (const id of ids) waiting.delete(id);
      try {
        await this.#sql.query("select pg_notify($1, $2)", [
          channel,
          `${this.#sender} ${kind} ${ids.join(",")}`,
        ]);
      } catch (error) {
        this.#log.warn({ reason: reasonOf(error) }, "cannot tell the other controllers of changes");
      }
    }
  }
}
