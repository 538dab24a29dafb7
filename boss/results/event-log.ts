import { closeSync, writeSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { printable } from "../../os/text/terminal-text.ts";
import type { PartialObserver } from "../dispatch/observers.ts";
import type { Matrix } from "../matrix/matrix.ts";
import { openLog } from "../hosts/traffic-log.ts";

const statusSeconds = 60;
/** Of what a worker should not have sent, so many are told. */
const mostNotes = 1000;
const lineMaxCharacters = 1000;

/**
 * `.croft.log` in the output directory: what happened in each run, dated, with a `STATUS` line each minute that has
 * done/sent of every worker, the use of this machine's processors, and the total.
 */
export class EventLog implements Disposable {
  readonly observer: PartialObserver;
  readonly #fd: number;
  readonly #timer: NodeJS.Timeout;
  readonly #workers = new Map<string, { done: number; sent: number }>();
  readonly #matrix: Matrix;
  readonly #total: number;
  #results = 0;
  #notes = 0;
  #times = processorTimes();

  /** @throws {Failure} if the log cannot be opened. */
  constructor(directory: string, matrix: Matrix) {
    this.#fd = openLog(join(directory, ".croft.log"));
    this.#matrix = matrix;
    this.#total = matrix.missingCount;
    this.#timer = setInterval(() => this.#status(), statusSeconds * 1000).unref();
    this.add(`START ${this.#total} results to be built`);
    this.observer = this.#observe();
  }

  add(text: string): void {
    try {
      // Hosts name reasons and boards: nothing of them is a line, or an order to a terminal.
      const line = printable(text).replaceAll("\n", "?").slice(0, lineMaxCharacters);
      writeSync(this.#fd, `${new Date().toISOString()} ${line}\n`);
    } catch {
      // A full disk: the results themselves tell of that.
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#status();
    this.add("END");
    closeSync(this.#fd);
  }

  #observe(): PartialObserver {
    const counts = (name: string) => {
      let worker = this.#workers.get(name);
      if (!worker) this.#workers.set(name, (worker = { done: 0, sent: 0 }));
      return worker;
    };
    return {
      started: (host, threads, slots) => {
        counts(host.name);
        this.add(`WORKER ${host.name} threads=${threads} slots=${slots}`);
      },
      notStarted: (host, reason, busy) =>
        this.add(`WORKER ${host.name} ${busy ? "BUSY" : "FAILED"}: ${reason}`),
      lost: (host, reason) => this.add(`WORKER ${host.name} LOST: ${reason}`),
      given: (host) => void counts(host.name).sent++,
      complete: (host) => void counts(host.name).done++,
      result: () => void this.#results++,
      gaveUp: (target, reason) => this.add(`GIVEN UP ${this.#matrix.targetAt(target).name}: ${reason}`),
      doubted: (host, target, reason) =>
        this.add(`DOUBTED ${this.#matrix.targetAt(target).name} on ${host.name}: ${reason}`),
      setAside: (host, reason) => this.add(`WORKER ${host.name} SET ASIDE: ${reason}`),
      note: (host, text) => {
        if (++this.#notes <= mostNotes) this.add(`NOTE ${host.name}: ${text}`);
      },
    };
  }

  #status(): void {
    const workers = [...this.#workers].map(([name, { done, sent }]) => `${name}=${done}/${sent}`);
    const now = processorTimes();
    const use = Math.round((100 * (now.busy - this.#times.busy)) / Math.max(1, now.all - this.#times.all));
    this.#times = now;
    this.add(`STATUS ${workers.join(" ")} cpu=${use}% total=${this.#results}/${this.#total}`);
  }
}

/** Milliseconds of all processors since the start of the system. */
function processorTimes(): { busy: number; all: number } {
  let busy = 0;
  let all = 0;
  for (const { times } of cpus()) {
    const sum = Object.values(times).reduce((total, each) => total + each, 0);
    all += sum;
    busy += sum - times.idle;
  }
  return { busy, all };
}
