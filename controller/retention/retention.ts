/**
 * Removes what is kept no longer: builds by the configured rules, then live logs and blobs that nothing refers to, and what
 * is left of receiving files. Each step may be broken off at any point, done again, and done by several controllers at a
 * time: builds go before what they refer to, and what is left is found without anybody having noted it.
 */
import type { Database } from "../database/database.ts";
import type { BlobStorage } from "../files/blob-storage.ts";
import type { DataDirectory } from "../files/data-directory.ts";
import { clearIncoming } from "../files/data-directory.ts";
import type { KeptLiveLogs } from "../files/live-log-chunk.ts";
import { doomedBuilds, removeBuilds } from "./ended-builds.ts";
import { oldLiveLogs } from "./old-live-logs.ts";
import { finishRemovals, writeDownStrays } from "./removals.ts";
import { add, type PruneReport, type RetentionRules } from "./rules.ts";
import { BlobsOfBuilds, giveRows, removeBlobs, rowlessBlobs, unusedBlobs } from "./unused-blobs.ts";

interface RetentionParts {
  readonly database: Database;
  readonly storage: BlobStorage;
  readonly directory: Pick<DataDirectory, "incoming">;
  readonly liveLogs: KeptLiveLogs;
}

/** What was being received a day ago and has not grown since is not being received any more. */
const abandonedMs = 24 * 3_600_000;
const hourMs = 3_600_000;

/** Removes what is kept no longer, or says what that would be. */
export class Retention {
  readonly rules: RetentionRules;
  readonly #parts: RetentionParts;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: RetentionParts, rules: RetentionRules) {
    this.#parts = parts;
    this.rules = rules;
  }

  /** Removes it; those who ask at the same time are served one after the other. */
  async prune(rules = this.rules, signal?: AbortSignal): Promise<PruneReport> {
    const work = this.#last.then(() => this.#prune(rules, signal));
    this.#last = work.catch(() => {});
    return await work;
  }

  /** Removes nothing until it is disposed of; what is being removed is waited for. */
  async hold(): Promise<Disposable> {
    const held = Promise.withResolvers<void>();
    const before = this.#last;
    this.#last = before.then(() => held.promise);
    await before;
    return { [Symbol.dispose]: held.resolve };
  }

  async #prune(rules: RetentionRules, signal: AbortSignal | undefined): Promise<PruneReport> {
    const { database, storage, liveLogs, directory } = this.#parts;
    const report = emptyReport();
    for await (const doomed of doomedBuilds(database, rules)) {
      if (signal?.aborted) return report;
      const gone = await removeBuilds(database, doomed);
      const went = new Set(gone.builds);
      for (const { id, reason } of doomed) if (went.has(id)) report.builds.push({ id, reason });
      for (const session of gone.sessions) await this.#removeLiveLog(session, report);
    }
    for await (const sessions of oldLiveLogs(database, liveLogs, rules.liveLogDays))
      for (const session of sessions) await this.#removeLiveLog(session, report);
    const abandoned = new Date(Date.now() - abandonedMs);
    await clearIncoming(directory, abandoned);
    await storage.clearAway(abandoned);
    await finishRemovals(database, storage);
    const hourAgo = new Date(Date.now() - hourMs);
    for await (const rowless of rowlessBlobs(database, storage)) {
      if (signal?.aborted) return report;
      await giveRows(
        database,
        rowless.filter(({ isStray }) => !isStray),
      );
      await writeDownStrays(
        database,
        rowless.filter(({ isStray, changedAt }) => isStray && changedAt < hourAgo),
      );
    }
    for await (const unused of unusedBlobs(database)) {
      if (signal?.aborted) return report;
      await removeBlobs(database, storage, unused, report.blobs);
    }
    return report;
  }

  async #removeLiveLog(session: number, report: PruneReport): Promise<void> {
    const { liveLogs } = this.#parts;
    const bytes = await liveLogs.remove(session);
    if (bytes !== undefined) add(report.liveLogs, bytes);
  }

  /** What {@link prune} would remove now. */
  async preview(rules = this.rules): Promise<PruneReport> {
    const { database, storage, liveLogs } = this.#parts;
    const report = emptyReport();
    const builds = new Map<number, PruneReport["builds"][number]>();
    const blobs = new BlobsOfBuilds();
    const sessions = new Set<number>();
    for await (const doomed of doomedBuilds(database, rules)) {
      const news = doomed.filter(({ id }) => !builds.has(id)).map(({ id, reason }) => ({ id, reason }));
      for (const one of news) builds.set(one.id, one);
      const ids = news.map(({ id }) => id);
      await blobs.add(database, ids);
      const had = await database.query<{ id: number }>(
        "select id from croft.sessions where build = any($1::integer[])",
        [ids],
      );
      for (const { id } of had) sessions.add(id);
    }
    report.builds.push(...builds.values());
    for await (const old of oldLiveLogs(database, liveLogs, rules.liveLogDays))
      for (const session of old) sessions.add(session);
    await blobs.addLiveLogs(database, [...sessions]);
    const there = new Set(await liveLogs.sessions());
    for (const session of sessions)
      if (there.has(session)) add(report.liveLogs, await liveLogs.size(session));
    await blobs.only(database, report.blobs);
    for await (const unused of unusedBlobs(database))
      for (const { bytes } of unused) add(report.blobs, bytes);
    const hourAgo = new Date(Date.now() - hourMs);
    for await (const rowless of rowlessBlobs(database, storage))
      for (const { bytes, changedAt, isStray } of rowless)
        if (!isStray && changedAt < hourAgo) add(report.blobs, bytes);
    return report;
  }
}

function emptyReport(): PruneReport {
  return { builds: [], liveLogs: { count: 0, bytes: 0 }, blobs: { count: 0, bytes: 0 } };
}
