/**
 * Sends what a guest writes to its log port to the controller while the task runs.
 *
 * The live log is a courtesy: it never holds up the guest or the task, and is bounded in memory. Each chunk carries
 * the offset it begins at, so that a chunk whose answer was lost does no harm when it is sent again. What does not
 * fit the buffer while the controller is slow is left out, and the gap is marked in the text.
 */
import type { Log } from "../../os/log.ts";
import { reasonOf } from "../../os/failure.ts";
import { logChunkBytes } from "../../manifests/limits.ts";
import { Rejection } from "../wire/answers.ts";
import type { HttpClient } from "../wire/http.ts";

const bufferMaxBytes = 4 * 1024 * 1024;
/** Collecting for a moment makes few large requests of many small writes, and still looks live. */
const collectMs = 400;
const retryMs = 3000;
/** At the end: for what is left, and for the mark that stands for the rest. */
const patienceMs = { rest: 5000, mark: 2000 };

const markOf = (bytes: number) => Buffer.from(`\n[... ${bytes} bytes left out of the live log ...]\n`);

export class LiveLog implements AsyncDisposable {
  readonly #client: HttpClient;
  readonly #url: string;
  readonly #log: Log;
  readonly #stop = new AbortController();
  #queue: Buffer[] = [];
  #queued = 0;
  #skipped = 0;
  #offset = 0;
  /** Bytes of the chunk on its way. */
  #unsent = 0;
  #closing = false;
  /** The controller wants no log. */
  #refused = false;
  #wake: (() => void) | undefined;
  readonly #done: Promise<void>;

  constructor(client: HttpClient, url: string, log: Log) {
    this.#client = client;
    this.#url = url;
    this.#log = log;
    this.#done = this.#run();
  }

  /** Takes bytes of the log; returns at once. */
  write(chunk: Buffer): void {
    if (this.#closing) return;
    if (this.#queued + chunk.length > bufferMaxBytes) {
      this.#skipped += chunk.length;
      return;
    }
    this.#markGap();
    this.#queue.push(chunk);
    this.#queued += chunk.length;
    this.#wake?.();
  }

  #markGap(): void {
    if (this.#skipped === 0) return;
    const mark = markOf(this.#skipped);
    this.#skipped = 0;
    this.#queue.push(mark);
    this.#queued += mark.length;
  }

  /** Sends what is left, for at most 5 seconds; then, for 2 more, that the rest is left out. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closing) this.#markGap();
    this.#closing = true;
    this.#wake?.();
    const timer = setTimeout(() => this.#stop.abort(), patienceMs.rest);
    await this.#done;
    clearTimeout(timer);
    if (this.#stop.signal.aborted && !this.#refused) await this.#sendLast();
  }

  /** The chunk on its way may have arrived or not: the controller says where it is. */
  async #sendLast(): Promise<void> {
    const mark = markOf(this.#unsent + this.#queued);
    const signal = AbortSignal.timeout(patienceMs.mark);
    for (let tries = 0; tries < 2; tries++)
      try {
        return void (await this.#client.postLog(this.#url, this.#offset, mark, signal));
      } catch (error) {
        if (error instanceof Rejection && this.#catchUp(error)) continue;
        return this.#log.debug(
          { url: this.#url, reason: reasonOf(error) },
          "end of the live log not delivered",
        );
      }
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      if (this.#queued === 0) {
        if (this.#closing) return;
        await this.#pause(60_000);
        continue;
      }
      if (!this.#closing && this.#queued < logChunkBytes.sent) await this.#pause(collectMs, false);
      const chunk = this.#take();
      this.#unsent = chunk.length;
      if (!(await this.#send(chunk))) return;
      this.#unsent = 0;
    }
  }

  /** @returns false if the controller wants no log. */
  async #send(chunk: Buffer): Promise<boolean> {
    for (;;) {
      try {
        await this.#client.postLog(this.#url, this.#offset, chunk, this.#stop.signal);
        this.#offset += chunk.length;
        return true;
      } catch (error) {
        if (this.#stop.signal.aborted) return false;
        if (error instanceof Rejection && this.#catchUp(error)) continue;
        if (error instanceof Rejection) {
          this.#log.warn({ url: this.#url, reason: reasonOf(error) }, "live log refused by the controller");
          this.#closing = this.#refused = true;
          return false;
        }
        this.#log.debug({ url: this.#url, reason: reasonOf(error) }, "live log not delivered, trying again");
        await this.#pause(retryMs, false);
      }
    }
  }

  /** The controller may have lost the end of what it had: then it says where it is, and the gap is its own. */
  #catchUp({ status, headers }: Rejection): boolean {
    const wanted = Number(headers["croft-log-offset"]);
    if (status !== 409 || !Number.isSafeInteger(wanted) || wanted === this.#offset) return false;
    this.#offset = wanted;
    return true;
  }

  #take(): Buffer {
    const all = Buffer.concat(this.#queue);
    const chunk = all.subarray(0, logChunkBytes.sent);
    const rest = all.subarray(logChunkBytes.sent);
    this.#queue = rest.length > 0 ? [rest] : [];
    this.#queued = rest.length;
    return chunk;
  }

  /** Waits; new bytes end the pause early if `wakeable`, closing always does. */
  #pause(ms: number, wakeable = true): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        this.#stop.signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#stop.signal.addEventListener("abort", end, { once: true });
      this.#wake = () => {
        if (wakeable || this.#closing) end();
      };
    });
  }
}
