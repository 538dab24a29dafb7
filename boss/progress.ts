/** What a person sees while a matrix is built: a line that is rewritten on a terminal, plain lines elsewhere. */
import { formatDuration } from "../os/text/duration.ts";
import { printable } from "../os/text/terminal-text.ts";
import type { Host } from "./hosts/hosts.ts";
import type { Matrix } from "./matrix/matrix.ts";
import type { PartialObserver } from "./dispatch/observers.ts";

const redrawMilliseconds = 200;
/** Elsewhere than on a terminal, so often. */
const plainSeconds = 30;

export interface ProgressOutput {
  write(text: string): unknown;
  isTTY?: boolean | undefined;
  columns?: number | undefined;
}

export class Progress implements Disposable {
  readonly observer: PartialObserver;
  readonly #output: ProgressOutput;
  readonly #matrix: Matrix;
  readonly #total: number;
  readonly #beganAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  readonly #busy = new Map<string, Set<number>>();
  readonly #starting: string[] = [];
  readonly #doubted = new Set<string>();
  #hosts = 0;
  #hostsStarted = 0;
  #results = 0;
  #failed = 0;
  #drawn = false;

  constructor(matrix: Matrix, output: ProgressOutput) {
    this.#matrix = matrix;
    this.#total = matrix.missingCount;
    this.#output = output;
    const milliseconds = output.isTTY ? redrawMilliseconds : plainSeconds * 1000;
    this.#timer = setInterval(() => this.#draw(), milliseconds).unref();
    this.observer = this.#observe();
  }

  /** Prints a line above the progress. */
  line(text: string): void {
    this.#erase();
    this.#output.write(`${printable(text)}\n`);
    if (this.#output.isTTY) this.#draw();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#erase();
  }

  #observe(): PartialObserver {
    return {
      starting: () => void this.#hosts++,
      started: (host) => this.#startLine(host.name),
      notStarted: (host, reason, busy) => {
        this.#startLine(`${host.name} (${busy ? "BUSY" : "FAILED"})`);
        this.line(`${host.name}: ${reason}`);
      },
      lost: (host, reason, restarting) => {
        this.#busy.delete(host.name);
        if (restarting) this.#forgetStart(host.name);
        this.line(`${host.name} is lost: ${reason}${restarting ? "; it is started again" : ""}`);
      },
      given: (host, target) => void this.#busyOf(host).add(target),
      complete: (host, target) => void this.#busyOf(host).delete(target),
      result: (_host, _target, _commit, result) => {
        this.#results++;
        if (result.return_code !== 0) this.#failed++;
      },
      doubted: (host, _target, reason) => {
        if (this.#doubted.has(host.name)) return; // the summary has them all
        this.#doubted.add(host.name);
        this.line(`${host.name} has a fault, and what fails by it is built elsewhere: ${reason}`);
      },
      setAside: (host) => this.line(`${host.name} gets no more work while others can do it`),
      gaveUp: (target, reason) => this.line(`${this.#matrix.targetAt(target).name} is given up: ${reason}`),
    };
  }

  #startLine(host: string): void {
    this.#hostsStarted++;
    this.#starting.push(host);
    this.line(`Starting workers ${this.#hostsStarted}/${this.#hosts}: ${this.#starting.join(", ")}`);
  }

  /** It will be counted, and named, once more. */
  #forgetStart(host: string): void {
    this.#hosts--;
    this.#hostsStarted--;
    const at = this.#starting.indexOf(host);
    if (at >= 0) this.#starting.splice(at, 1);
  }

  #busyOf(host: Host): Set<number> {
    let targets = this.#busy.get(host.name);
    if (!targets) this.#busy.set(host.name, (targets = new Set()));
    return targets;
  }

  #draw(): void {
    const seconds = (performance.now() - this.#beganAt) / 1000;
    const rate = this.#results / seconds;
    const left = rate > 0 ? (this.#total - this.#results) / rate : undefined;
    const hosts = [...this.#busy].map(([name, targets]) => {
      const [first] = targets;
      const more = targets.size > 1 ? `+${targets.size - 1}` : "";
      return `${name}: ${first === undefined ? "idle" : this.#matrix.targetAt(first).name}${more}`;
    });
    const text = [
      `${this.#results}/${this.#total}`,
      ...(this.#failed > 0 ? [`${this.#failed} failed`] : []),
      ...(rate > 0 ? [`${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s`] : []),
      ...(left === undefined ? [] : [`${formatDuration(Math.round(left))} left`]),
      ...hosts,
    ].join("  ");
    if (!this.#output.isTTY) return void this.#output.write(`${text}\n`);
    this.#output.write(`\r\x1b[K${text.slice(0, (this.#output.columns ?? 80) - 1)}`);
    this.#drawn = true;
  }

  #erase(): void {
    if (this.#drawn) this.#output.write("\r\x1b[K");
    this.#drawn = false;
  }
}
