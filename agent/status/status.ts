import { reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { notifySystemd, sendState } from "../../os/service/systemd.ts";
import { withoutQuery } from "../../os/network/url.ts";
import { activityText, describePhase, type Activity, type Phase } from "./activity.ts";

/** A phase that passes more quickly is not told: an idle agent goes through four of them each minute. */
const tellAfterMilliseconds = 300;
/** How often the time in the text is brought up to date. */
const tickSeconds = 15;

/** Faults of the farm in a row: the agent cannot work, and tries again and again. */
export interface FaultState {
  readonly count: number;
  readonly since: Date;
  /** The same by a clock that nobody sets. */
  readonly sinceMs: number;
  readonly reason: string;
}

/**
 * What the agent is doing now: whoever does something says so here, and systemd, the log, the status pages and the
 * metrics have it from here.
 */
export class Status implements Disposable {
  readonly #log: Log;
  readonly #tellSystemd: boolean;
  #onPhaseEnd: ((phase: Phase, seconds: number) => void) | undefined;
  #activity: Activity = { phase: "starting" };
  #since = { date: new Date(), milliseconds: performance.now() };
  #fault: FaultState | undefined;
  #refused: string | undefined;
  #ready = false;
  #stopping = false;
  #lastTold = "";
  #telling = Promise.resolve();
  #delay: NodeJS.Timeout | undefined;
  #tick: NodeJS.Timeout | undefined;

  constructor(log: Log, tellSystemd: boolean) {
    this.#log = log;
    this.#tellSystemd = tellSystemd;
  }

  /** Has this told how long each phase took, in seconds. */
  onPhaseEnd(listener: (phase: Phase, seconds: number) => void): void {
    this.#onPhaseEnd = listener;
  }

  get activity(): Readonly<Activity> {
    return this.#activity;
  }

  /** When the activity began. */
  get since(): Date {
    return this.#since.date;
  }

  /** How long it has taken so far; not by the clock on the wall, which may be set. */
  get seconds(): number {
    return (performance.now() - this.#since.milliseconds) / 1000;
  }

  /** In one line. */
  get text(): string {
    const text = activityText(this.#activity, this.seconds);
    return this.#refused === undefined ? text : `${text}; new configuration refused: ${this.#refused}`;
  }

  get fault(): FaultState | undefined {
    return this.#fault;
  }

  /** The configuration that was read last cannot be used, and why; undefined if it is in effect. */
  configurationRefused(reason: string | undefined): void {
    this.#refused = reason?.replace(/\p{Cc}+/gu, " ");
    if (this.#ready) this.#tell();
  }

  /** Begins a phase. */
  set(phase: Phase, details: Omit<Activity, "phase"> = {}): void {
    const next = { phase, ...details };
    if (JSON.stringify(next) === JSON.stringify(this.#activity)) return;
    if (phase !== this.#activity.phase) {
      this.#onPhaseEnd?.(this.#activity.phase, this.seconds);
      this.#since = { date: new Date(), milliseconds: performance.now() };
    }
    this.#activity = next;
    const { controller } = details;
    const shown = controller === undefined ? details : { ...details, controller: withoutQuery(controller) };
    this.#log.debug({ phase, ...shown }, "status");
    this.#tellSoon();
  }

  /** Begins another phase of what is being done: machine, task and controller stay. */
  advance(phase: Phase): void {
    const { phase: _, reason: __, ...details } = this.#activity;
    this.set(phase, details);
  }

  /** A fault of the farm kept the agent from working. */
  failed(reason: string): void {
    const { count, since, sinceMs } = this.#fault ?? {
      count: 0,
      since: new Date(),
      sinceMs: performance.now(),
    };
    this.#fault = { count: count + 1, since, sinceMs, reason };
  }

  /** Something worked. */
  worked(): void {
    this.#fault = undefined;
  }

  /** The agent works: its machines have been looked through once. */
  ready(): void {
    if (this.#ready) return;
    this.#ready = true;
    this.#tell({ ready: true });
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#delay);
    clearInterval(this.#tick);
  }

  #tellSoon(): void {
    if (!this.#tellSystemd) return;
    clearTimeout(this.#delay);
    clearInterval(this.#tick);
    this.#delay = setTimeout(() => this.#tell(), tellAfterMilliseconds).unref();
    if (describePhase(this.#activity.phase).timed)
      this.#tick = setInterval(() => this.#tell(), tickSeconds * 1000).unref();
  }

  /** Does what a reload consists of; systemd shows the service as reloading meanwhile. */
  async reloading(work: () => Promise<void>): Promise<void> {
    // Before the agent is up there is nothing to reload, and READY would say that it is up.
    if (!this.#ready) return await work();
    this.#send(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
    try {
      await work();
    } finally {
      this.#send("READY=1");
    }
  }

  /** The agent is about to end. */
  stopping(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#send("STOPPING=1");
  }

  #send(state: string): void {
    this.#inOrder(() => sendState(state));
  }

  /** In order, and never waited for: what systemd thinks of us is no reason to stop working. */
  #tell(notification: { ready?: boolean } = {}): void {
    const status = this.text;
    if (status === this.#lastTold && !notification.ready) return;
    this.#lastTold = status;
    this.#inOrder(() => notifySystemd({ ...notification, status }));
  }

  #inOrder(tell: () => Promise<void>): void {
    if (!this.#tellSystemd) return;
    this.#telling = this.#telling
      .then(tell)
      .catch((error: unknown) => this.#log.warn({ reason: reasonOf(error) }, "systemd could not be told"));
  }
}
