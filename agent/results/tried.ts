/**
 * How long and how often an entry of the spool has been sent in vain.
 *
 * Times are added up of a clock that never goes back, while an agent runs; the clock on the wall may be corrected by
 * days. They are kept beside the result, so that a restart does not begin anew. If they cannot be written, the result
 * is merely tried for longer.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { assertFailure } from "../../os/failure.ts";
import { writeDurably } from "../../os/files/durable.ts";
import { entryFiles } from "../task-state/entry-files.ts";

/** Failures of a kind, and when they began. */
interface Streak {
  tries: number;
  /** In seconds of trying. */
  since: number;
}

interface Record {
  tries: number;
  seconds: number;
  /** Refusals of the agent's key. */
  key?: Streak;
  /** Artifacts that did not get through. */
  artifacts?: Streak;
}

type StreakName = "key" | "artifacts";

/** So few tries say nothing, however much time has gone by: the host may have slept, the agent been busy. */
const fewTries = { all: 50, streak: 4 };

export class Tried {
  readonly #file: string;
  readonly #now: () => number;
  readonly #record: Record;
  #countedAt: number;

  private constructor(file: string, record: Record, now: () => number) {
    this.#file = file;
    this.#record = record;
    this.#now = now;
    this.#countedAt = now();
  }

  /** @param now milliseconds of a clock that never goes back. */
  static async of(directory: string, now: () => number): Promise<Tried> {
    const file = join(directory, entryFiles.tried);
    const text = await readFile(file, "utf8").catch(() => "");
    return new Tried(file, parse(text) ?? { tries: 0, seconds: 0 }, now);
  }

  /** Notes that it was in vain once more. */
  async failed(): Promise<void> {
    this.#count();
    this.#record.tries++;
    try {
      await writeDurably(this.#file, JSON.stringify(this.#record));
    } catch (error) {
      assertFailure(error);
    }
  }

  /** Notes a failure of a kind; {@link failed} keeps it. */
  streak(name: StreakName): void {
    this.#count();
    const streak = (this.#record[name] ??= { tries: 0, since: this.#record.seconds });
    streak.tries++;
  }

  /** True if it was tried for so long. */
  forSeconds(seconds: number): boolean {
    this.#count();
    return this.#record.seconds >= seconds && this.#record.tries >= fewTries.all;
  }

  /** True if there have been failures of the kind for so long. */
  streakForSeconds(name: StreakName, seconds: number): boolean {
    this.#count();
    const streak = this.#record[name];
    if (!streak) return false;
    return this.#record.seconds - streak.since >= seconds && streak.tries > fewTries.streak;
  }

  #count(): void {
    const now = this.#now();
    this.#record.seconds += (now - this.#countedAt) / 1000;
    this.#countedAt = now;
  }
}

function parse(text: string): Record | undefined {
  try {
    const record = JSON.parse(text) as Record;
    return Number.isFinite(record.tries) && Number.isFinite(record.seconds) ? record : undefined;
  } catch {
    return undefined;
  }
}
