/**
 * Sends what a guest writes to its log port to the controller while the task runs.
 *
 * The live log is a courtesy: it never holds up the guest or the task, and is bounded in memory. Each chunk carries
 * the offset it begins at, so that a chunk whose answer was lost does no harm when it is sent again. What does not
 * fit the buffer while the controller is slow is left out, and the gap is marked in the text.
 */
import type { Log } from "../../os/log.ts";
import { reasonOf } from "../../os/failure.ts";
import { Rejection } from "../wire/answers.ts";
import type { HttpClient } from "../wire/http.ts";

const bufferMaxBytes = 4 * 1024 * 1024;
const chunkMaxBytes = 256 * 1024;
/** Collecting for a moment makes few large requests of many small writes, and still looks live. */
const collectMs = 400;
const retryMs = 3000;

export class LiveLog implements AsyncDisposable {
  readonly #client: HttpClient;
  readonly #url: string;
  readonly #log: Log;
  readonly #stop = new AbortController();
  #queue: Buffer[] = [];
  #queued = 0;
  #skipped = 0;
  #offset = 0;
  #closing = false;
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
    if (this.#skipped > 0) {
      const mark = Buffer.from(`\n[... ${this.#skipped} bytes left out of the live log ...]\n`);
      this.#skipped = 0;
      this.#queue.push(mark);
      this.#queued += mark.length;
    }
    this.#queue.push(chunk);
    this.#queued += chunk.length;
    this.#wake?.();
  }

  /** Sends what is left, for at most 5 seconds. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    this.#wake?.();
    const timer = setTimeout(() => this.#stop.abort(), 5000);
    await this.#done;
    clearTimeout(timer);
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      if (this.#queued === 0) {
        if (this.#closing) return;
        await this.#pause(60_000);
        continue;
      }
      if (!this.#closing && this.#queued < chunkMaxBytes) await this.#pause(collectMs, false);
      const chunk = this.#take();
      if (!(await this.#send(chunk))) return;
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
          this.#closing = true;
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
    const chunk = all.subarray(0, chunkMaxBytes);
    const rest = all.subarray(chunkMaxBytes);
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
