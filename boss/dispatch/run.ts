/**
 * One run of the matrix: starts the workers, gives them work, and watches over them until all is built or nobody is
 * left who could.
 *
 * Every wait for a worker has a deadline: a worker with targets in flight, or that owes an answer, must show a sign of
 * life within the build timeout. One that is lost, however, is dropped once, and its host may start another.
 */
import { Deadline } from "../../os/deadline.ts";
import { Failure, reasonOf, UsageFailure } from "../../os/failure.ts";
import { isDiskFull } from "../../worker/disk-full.ts";
import type { BuildOutputPiece, BuildResult, Response } from "../../worker/protocol.ts";
import { Dispatch } from "./dispatch.ts";
import type { Host } from "../hosts/hosts.ts";
import type { Matrix } from "../matrix/matrix.ts";
import type { Pool } from "./pool.ts";
import type { StartedWorker } from "../hosts/start.ts";
import { BusyFailure } from "../hosts/start.ts";

/** How often deadlines are looked at. */
const watchMilliseconds = 250;
/** A longer gap between two looks means that the boss itself did not run. */
const sleptMilliseconds = 5000;
/** How long workers get to hear `quit` before their connections are closed. */
const quitSeconds = 0.5;

/** What happens in a run, for displays, logs and programs. */
export interface RunObserver {
  starting(host: Host): void;
  started(host: Host, threads: number, slots: number): void;
  notStarted(host: Host, reason: string, busy: boolean): void;
  lost(host: Host, reason: string, restarting: boolean): void;
  result(host: Host, target: number, commit: number, result: BuildResult): void;
  /** A piece of a file of a build whose result is still to come. */
  output(host: Host, piece: BuildOutputPiece): void;
  given(host: Host, target: number): void;
  complete(host: Host, target: number): void;
  gaveUp(target: number, reason: string): void;
  /** A failure that may be the host's: the target is tried elsewhere. */
  doubted(host: Host, target: number, reason: string): void;
  /** All of its last failures are its own: it gets no more work while there are others. */
  setAside(host: Host, reason: string): void;
  note(host: Host, text: string): void;
}

export interface RunOptions {
  hosts: readonly Host[];
  matrix: Matrix;
  pool: Pool;
  batch: boolean;
  buildTimeoutSeconds: number;
  /** The same for a worker that builds, and has never said so twice: it may be silent as long as a build takes. */
  silentBuildSeconds: number;
  /** What a build of one commit takes at most, whatever its worker says. */
  longestBuildSeconds: number;
  /** @throws {Failure} if the worker does not start. */
  start: (host: Host, signal: AbortSignal, replaced?: number) => Promise<StartedWorker>;
  observer: RunObserver;
  /** Aborted: workers are told to quit, and the run ends. */
  signal: AbortSignal;
  /** Milliseconds of a clock that never goes back. */
  now?: () => number;
}

/** What became of a run. */
export interface RunOutcome {
  /** Positions of targets with missing results that nobody builds any more. */
  remaining: number[];
  interrupted: boolean;
  /** How many hosts took part. */
  workers: number;
  traffic: { host: string; sent: number; received: number }[];
}

interface Running {
  readonly host: Host;
  readonly worker: StartedWorker;
  heardAt: number;
  /** It says again and again what it is building. */
  beats: boolean;
  /** What it has begun and not told anything of since, and when. */
  readonly silent: Map<string, number>;
}

export class Run {
  readonly #options: RunOptions;
  readonly #dispatch: Dispatch;
  readonly #hosts: ReadonlyMap<string, Host>;
  readonly #running = new Map<string, Running>();
  readonly #restarted = new Set<string>();
  /** Targets that have failed for a full disk once. */
  readonly #filled = new Set<string>();
  readonly #traffic = new Map<string, { sent: number; received: number }>();
  readonly #ending: Promise<void>[] = [];
  readonly #over = Promise.withResolvers<void>();
  readonly #now: () => number;
  readonly #ended = new AbortController();
  #workers = 0;
  #watchedAt: number;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#hosts = new Map(options.hosts.map((host) => [host.name, host]));
    this.#now = options.now ?? (() => performance.now());
    this.#watchedAt = this.#now();
    const { matrix, pool, batch, observer } = options;
    this.#dispatch = new Dispatch(
      matrix,
      pool,
      {
        send: (name, message) => this.#running.get(name)?.worker.connection.send(message),
        store: (name, target, commit, result) =>
          this.#guarded(() => observer.result(this.#host(name), target, commit, result)),
        given: (name, target) => observer.given(this.#host(name), target),
        complete: (name, target) => observer.complete(this.#host(name), target),
        doubt: (name, target, reason) => observer.doubted(this.#host(name), target, reason),
        setAside: (name, reason) => observer.setAside(this.#host(name), reason),
        giveUp: (target, reason) => observer.gaveUp(target, reason),
        note: (name, text) => observer.note(this.#host(name), text),
      },
      { batch },
    );
  }

  /** What each worker is doing now. */
  get dispatch(): Dispatch {
    return this.#dispatch;
  }

  /** Runs to the end. @throws {Failure} if a result cannot be written. */
  async run(): Promise<RunOutcome> {
    const { signal, matrix } = this.#options;
    this.#watchedAt = this.#now();
    const watch = setInterval(() => this.#watch(), watchMilliseconds);
    const onAbort = () => this.#over.resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted || matrix.missingCount === 0) this.#over.resolve();
    try {
      if (matrix.missingCount > 0 && !signal.aborted) this.#startAll();
      await this.#over.promise;
    } finally {
      clearInterval(watch);
      signal.removeEventListener("abort", onAbort);
      await this.#endAll();
    }
    return {
      remaining: matrix.targets
        .keys()
        .filter((target) => matrix.missingOf(target) > 0)
        .toArray(),
      interrupted: signal.aborted,
      workers: this.#workers,
      traffic: [...this.#traffic].map(([host, counts]) => ({ host, ...counts })),
    };
  }

  #startAll(): void {
    const { hosts, batch } = this.#options;
    for (const _ of hosts) this.#dispatch.expectWorker();
    const starts = hosts.map((host) => this.#start(host));
    // In batch mode the shares are known only when all hosts are.
    const share = batch
      ? Promise.all(starts).then(() => this.#guarded(() => this.#dispatch.share()))
      : Promise.resolve();
    this.#ending.push(...starts, share);
    this.#settle(); // without any host, nothing else would
  }

  async #start(host: Host, replaced?: number): Promise<void> {
    const { observer, start, batch } = this.#options;
    observer.starting(host);
    let worker: StartedWorker;
    try {
      worker = await start(host, this.#ended.signal, replaced);
    } catch (error) {
      this.#dispatch.forgetWorker();
      if (this.#ended.signal.aborted) return;
      // What is wrong with the source is wrong with it for all hosts.
      if (!(error instanceof Failure) || error instanceof UsageFailure) return this.#fail(error);
      observer.notStarted(host, reasonOf(error), error instanceof BusyFailure);
      return this.#settle();
    }
    if (this.#ended.signal.aborted) return worker.connection.drop();
    this.#workers++;
    const running: Running = {
      ...{ host, worker, heardAt: this.#now(), beats: worker.beats === true },
      silent: new Map(),
    };
    this.#running.set(host.name, running);
    void worker.connection.closed.then((reason) => this.#lose(running, reason));
    const threads = Math.max(1, worker.threads); // one that claims to have none may build all the same
    const slots = Math.min(host.maxBuilds ?? threads, threads); // more would only wait there
    this.#guarded(() => {
      observer.started(host, worker.threads, slots);
      const { capacity, architectures } = worker;
      this.#dispatch.addWorker({ name: host.name, slots, architectures, capacity }, true);
      worker.listen({
        message: (message) => this.#receive(running, message),
        alive: () => (running.heardAt = this.#now()),
        broken: (reason) => this.#lose(running, reason),
        complaint: (line) => {
          if (isDiskFull(line)) this.#lose(running, "its disk is full", { restart: false });
        },
      });
      if (batch && this.#restarted.has(host.name)) this.#dispatch.share();
    });
    this.#settle();
  }

  #receive(running: Running, message: Response): void {
    running.heardAt = this.#now();
    if (message.resp === "build_output")
      return this.#guarded(() => {
        if (!this.#dispatch.isWanted(running.host.name, message.board, message.commit_upto)) return;
        this.#options.observer.output(running.host, message);
      });
    if (message.resp === "heartbeat") {
      if (running.silent.has(message.board)) running.beats = true;
      else running.silent.set(message.board, running.heardAt);
    } else if (message.resp === "build_result") running.silent.delete(message.board);
    else if (message.resp === "build_done") running.silent.clear();
    if (message.resp === "build_result" && this.#isDiskFull(message))
      return this.#lose(running, "its disk is full", { restart: false });
    this.#guarded(() => {
      const reason = this.#dispatch.receive(running.host.name, message);
      if (reason !== undefined) this.#lose(running, reason);
    });
    if (message.resp === "build_result" || message.resp === "build_done") this.#settle();
  }

  /** A build that failed for this says nothing about its target: it is built elsewhere. Twice, and it does. */
  #isDiskFull({ board, return_code, stderr }: BuildResult): boolean {
    if (return_code === 0 || this.#filled.has(board) || !isDiskFull(stderr)) return false;
    this.#filled.add(board);
    return true;
  }

  /** Drops a worker, whatever was the reason; its work goes back to the pool. */
  #lose(running: Running, reason: string, { restart = true } = {}): void {
    const { host, worker } = running;
    if (this.#running.get(host.name) !== running) return;
    this.#running.delete(host.name);
    const { lastComplaint } = worker.connection;
    const why = lastComplaint && !reason.includes(lastComplaint) ? `${reason} (${lastComplaint})` : reason;
    const restarting = restart && !this.#restarted.has(host.name) && !this.#ended.signal.aborted;
    this.#options.observer.lost(host, why, restarting);
    if (restarting) this.#dispatch.expectWorker();
    this.#dispatch.loseWorker(host.name, why);
    this.#ending.push(this.#dropAndRestart(running, restarting));
    this.#settle();
  }

  async #dropAndRestart({ host, worker }: Running, restart: boolean): Promise<void> {
    await worker.connection.drop();
    this.#count(host, worker);
    if (!restart) return;
    this.#restarted.add(host.name);
    if (!this.#ended.signal.aborted) await this.#start(host, worker.pid);
  }

  #watch(): void {
    const now = this.#now();
    // The boss itself was stopped (Ctrl-Z) or starved: what came meanwhile is not read yet, and nobody else's fault.
    const slept = now - this.#watchedAt;
    this.#watchedAt = now;
    if (slept > sleptMilliseconds) for (const running of this.#running.values()) postpone(running, slept);
    const { buildTimeoutSeconds, silentBuildSeconds, longestBuildSeconds } = this.#options;
    for (const running of [...this.#running.values()]) {
      const state = this.#dispatch.workerState(running.host.name);
      const seconds = state?.inFlight.size && !running.beats ? silentBuildSeconds : buildTimeoutSeconds;
      if (state === undefined || state.phase === "idle") {
        running.heardAt = this.#now();
        continue;
      }
      if (running.heardAt < now - seconds * 1000) this.#lose(running, `no sign of life for ${seconds} s`);
      const [board, since] = running.silent.entries().next().value ?? ["", now]; // the oldest
      if (since < now - longestBuildSeconds * 1000)
        this.#lose(
          running,
          `no result of '${board}' for ${longestBuildSeconds} s, though it says that it builds`,
        );
    }
  }

  /** Ends the run if there is nothing left to wait for. */
  #settle(): void {
    if (this.#dispatch.isOver) this.#over.resolve();
  }

  async #endAll(): Promise<void> {
    this.#ended.abort();
    const all = [...this.#running.values()];
    this.#running.clear(); // what they say from now on does not count
    for (const { worker } of all) worker.connection.send({ cmd: "quit" });
    const closed = Promise.all(all.map(({ worker }) => worker.connection.closed));
    using late = new Deadline(quitSeconds);
    await Promise.race([closed, late.passed]);
    await Promise.all(all.map(({ worker }) => worker.connection.drop()));
    for (const { host, worker } of all) this.#count(host, worker);
    await Promise.allSettled(this.#ending);
  }

  #count(host: Host, { connection }: StartedWorker): void {
    const counts = this.#traffic.get(host.name) ?? { sent: 0, received: 0 };
    counts.sent += connection.bytesSent;
    counts.received += connection.bytesReceived;
    this.#traffic.set(host.name, counts);
  }

  #host(name: string): Host {
    return this.#hosts.get(name)!;
  }

  /** What is thrown while a message is handled, such as a full disk, ends the run and not the process. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#over.reject(error);
  }
}

function postpone(running: Running, milliseconds: number): void {
  running.heardAt += milliseconds;
  for (const [board, since] of running.silent) running.silent.set(board, since + milliseconds);
}
