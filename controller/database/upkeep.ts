/**
 * What a database server does by itself, for the embedded one, which has no background workers: `vacuum` gives the room
 * of old rows to new ones, `analyze` lets the planner know what there is. Without them the tables that each claim
 * changes, and their indexes, grow for ever.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { startLoop } from "../../os/loop.ts";
import type { EmbeddedDatabase } from "./embedded.ts";

/** The tables that change with every request, claim or result, or when old builds are removed. */
const tables = [
  ...["queues", "turns", "served", "builds", "sessions", "operations", "artifacts", "blobs"],
  ...["proofs", "offers", "controllers", "agents", "commit_statuses"],
];

/** When to do it. */
interface UpkeepSettings {
  /** After so many changed rows; after ten times as many also if the database is never idle. */
  changedRows: number;
  /** And so long after the last time. */
  everyMs: number;
  /** The database is idle when it had nothing to do for so long. */
  idleMs: number;
  /** How often to look. */
  checkMs: number;
}

const usual: UpkeepSettings = { changedRows: 10_000, everyMs: 24 * 3_600_000, idleMs: 300, checkMs: 2000 };

/** Starts to look after a database: at once, as nobody knows what changed before; disposing of it ends that. */
export function startUpkeep(database: EmbeddedDatabase, log: Log, settings = usual): AsyncDisposable {
  return startLoop((signal) => lookAfter(database, log, settings, signal));
}

async function lookAfter(
  database: EmbeddedDatabase,
  log: Log,
  { changedRows, everyMs, idleMs, checkMs }: UpkeepSettings,
  signal: AbortSignal,
): Promise<void> {
  let lastMs = -Infinity;
  for (;;) {
    await sleep(checkMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    const { use } = database;
    const now = performance.now();
    const due = use.changedRows >= changedRows || now - lastMs >= everyMs;
    const convenient = now - use.lastAtMs >= idleMs || use.changedRows >= 10 * changedRows;
    if (!due || !convenient) continue;
    lastMs = now;
    use.changedRows = 0;
    try {
      // One by one: requests wait for one table at most.
      for (const table of tables)
        if (!signal.aborted) await database.query(`vacuum (analyze) croft.${table}`);
    } catch (error) {
      log.error({ reason: reasonOf(error) }, "cannot vacuum the database; trying again tomorrow");
    }
  }
}
