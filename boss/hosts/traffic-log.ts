import { closeSync, fchmodSync, fstatSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Failure, reasonOf } from "../../os/failure.ts";

const flushBytes = 64 * 1024;
/** Logs of builds may be large; the results have them whole. */
const messageMaxCharacters = 4096;
/** Of a connection, in characters: whoever prints without end must not fill the disk. */
const noiseMaxCharacters = 1024 * 1024;
const logMaxCharacters = 512 * 1024 * 1024;

/**
 * Opens a log to append to it. It is its user's alone, wherever it lies: settings may have what nobody else is to read.
 *
 * @throws {Failure}
 */
export function openLog(path: string): number {
  try {
    const fd = openSync(path, "a", 0o600);
    const { uid, mode } = fstatSync(fd);
    if (uid === process.geteuid?.() && (mode & 0o077) !== 0) fchmodSync(fd, 0o600);
    return fd;
  } catch (error) {
    throw new Failure(`write '${path}'`, reasonOf(error), { cause: error });
  }
}

/**
 * `worker-<host>.log`: every message with its time, `>>` to the worker, `<<` from it, `!!` what else happened. It is
 * appended to, one dated block for each run.
 */
export class TrafficLog implements Disposable {
  #fd: number | undefined;
  #buffer = "";
  #time = "";
  #timeAt = 0;
  #written = 0;
  #noise = 0;
  readonly #timer: NodeJS.Timeout;

  /** @throws {Failure} if it cannot be opened. */
  constructor(directory: string, host: string) {
    this.#fd = openLog(join(directory, `worker-${host}.log`));
    this.#timer = setInterval(() => this.flush(), 1000).unref();
    this.note(`run of ${new Date().toISOString()}`);
  }

  sent(line: string): void {
    this.#add(">>", line);
  }

  received(line: string): void {
    this.#add("<<", line);
  }

  note(text: string): void {
    if (this.#noise > noiseMaxCharacters) return;
    this.#noise += text.length + 1;
    this.#add("!!", this.#noise > noiseMaxCharacters ? "what else it printed is left out" : text);
  }

  flush(): void {
    const text = this.#buffer;
    this.#buffer = "";
    if (this.#fd === undefined || text === "") return;
    try {
      writeSync(this.#fd, text);
    } catch {
      // A full disk: the results themselves tell of that.
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.flush();
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #add(direction: string, line: string): void {
    if (this.#written > logMaxCharacters) return;
    const text =
      line.length > messageMaxCharacters ? `${line.slice(0, messageMaxCharacters)}…` : line.trimEnd();
    const whole = `${this.#now()} ${direction} ${text}\n`;
    this.#written += whole.length;
    this.#buffer += this.#written > logMaxCharacters ? "the rest is left out\n" : whole;
    if (this.#buffer.length >= flushBytes) this.flush();
  }

  /** Formatting the time of each message would cost more than writing it. */
  #now(): string {
    const now = Date.now();
    if (now !== this.#timeAt) {
      this.#timeAt = now;
      this.#time = new Date(now).toISOString();
    }
    return this.#time;
  }
}
