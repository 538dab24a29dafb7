/**
 * Which worker builds what; without input or output, so that every order of events can be tried.
 *
 * Workers come and go; each is in one of these phases, and moves by its own answers:
 *
 *     idle ──build_prepare──► preparing ──build_prepare_done──► building ──build_done──► finishing ──build_done──► idle
 *
 * A worker gets as many targets as it has slots, and one more whenever one is complete, so that fast ones take more by
 * themselves. In batch mode it gets its share at once (`build_boards`), and is `finishing` from then on.
 *
 * The invariant: every target with missing results is in the pool, or in flight on exactly one worker, or given up
 * with a reason. So nothing is lost with a worker, and nothing is counted that no result arrived for. A result counts
 * if it is missing and its target is in flight on the worker that sends it; all others are dropped.
 *
 * A failure that tells of its host (worker/host-fault.ts) is in doubt: the target goes to another worker once, and only
 * if that fails as well, or there is none, the failure is a result.
 */
import { hostFaultOf } from "../../worker/host-fault.ts";
import type { BuildResult, Response, Target } from "../../worker/protocol.ts";
import type { Matrix } from "../matrix/matrix.ts";
import type { DispatchActions } from "./actions.ts";
import { DispatchedWorker, type WorkerOffer, type WorkerState } from "./dispatched-worker.ts";
import { Doubts, type Doubt } from "./doubts.ts";
import { hasCompiler, type Pool } from "./pool.ts";

/** On how many lost workers a target may have been before it is suspected itself. */
const maxLosses = 2;

export class Dispatch {
  readonly #matrix: Matrix;
  readonly #pool: Pool;
  readonly #actions: DispatchActions;
  readonly #batch: boolean;
  readonly #workers = new Map<string, DispatchedWorker>();
  readonly #losses = new Map<number, number>();
  /** Targets that a worker has silently left out once. */
  readonly #leftOut = new Set<number>();
  readonly #doubts = new Doubts();
  #expected = 0;

  constructor(matrix: Matrix, pool: Pool, actions: DispatchActions, options: { batch?: boolean } = {}) {
    this.#matrix = matrix;
    this.#pool = pool;
    this.#actions = actions;
    this.#batch = options.batch ?? false;
  }

  /** Nothing is left to be done, or nobody is left who could do it: see {@link remaining}. */
  get isOver(): boolean {
    for (const worker of this.#workers.values()) if (worker.inFlight.size > 0) return false;
    if (this.#pool.size === 0) return true;
    if (this.#expected > 0) return false;
    return ![...this.#workers.values()].some(({ taker }) => this.#pool.hasFor(taker));
  }

  /** Targets that nobody is building. */
  get remaining(): number[] {
    return this.#pool.remaining();
  }

  workerState(name: string): WorkerState | undefined {
    return this.#workers.get(name);
  }

  /** Whether a result of a worker would count. */
  isWanted(name: string, board: string, commit: number): boolean {
    const target = this.#matrix.positionOf(board);
    if (target === undefined || !this.#matrix.isMissing(target, commit)) return false;
    return this.#workers.get(name)?.inFlight.has(target) === true;
  }

  /** A worker is being started: until {@link addWorker} or {@link forgetWorker}, the pool waits for it. */
  expectWorker(): void {
    this.#expected++;
  }

  forgetWorker(): void {
    this.#expected--;
    this.#settleDoubts();
  }

  /**
   * A configured worker takes part. In batch mode, add all of one moment and then call {@link share}; else it is given
   * work at once.
   */
  addWorker(offer: WorkerOffer, expected = false): void {
    if (this.#workers.has(offer.name)) throw new Error(`worker ${offer.name} is there already`);
    if (expected) this.#expected--;
    const fits = (target: number) => !this.#doubts.avoids(target, offer.name);
    this.#workers.set(offer.name, new DispatchedWorker(offer, fits));
    if (!this.#batch) this.#wake();
  }

  /** Batch mode: gives the idle workers their shares of the pool, in proportion to their capacity. */
  share(): void {
    this.#settleDoubts();
    const idle = [...this.#workers.values()].filter(({ phase }) => phase === "idle");
    const total = idle.reduce((sum, { offer }) => sum + offer.capacity, 0);
    const size = this.#pool.size;
    for (const worker of idle)
      this.#giveBatch(worker, Math.max(1, Math.round((size * worker.offer.capacity) / total)));
    // What rounding left over, or what only some have a toolchain for.
    for (const worker of idle) if (worker.phase === "idle") this.#giveBatch(worker, this.#pool.size);
  }

  /**
   * A message of a worker.
   *
   * @returns a reason if the worker has to be dropped for it.
   */
  receive(name: string, message: Response): string | undefined {
    const worker = this.#workers.get(name);
    if (!worker) return undefined;
    switch (message.resp) {
      case "build_prepare_done":
        if (worker.phase !== "preparing") return this.#unexpected(name, message.resp);
        worker.phase = "building";
        this.#fill(worker);
        return undefined;
      case "heartbeat":
        this.#begin(worker, message.board);
        return undefined;
      case "build_result":
        this.#begin(worker, message.board);
        this.#result(worker, message);
        return undefined;
      case "build_done":
        if (worker.phase !== "finishing") return this.#unexpected(name, message.resp);
        this.#finished(worker);
        return undefined;
      case "error":
        return message.msg;
      default:
        return undefined;
    }
  }

  /** A worker is gone; what it had not finished is done elsewhere. */
  loseWorker(name: string, reason: string): void {
    const worker = this.#workers.get(name);
    if (!worker) return;
    this.#workers.delete(name);
    for (const target of worker.inFlight) {
      if (this.#batch && !worker.begun.has(target)) {
        this.#pool.putBack(target); // it waited in the worker's share: the loss is not its doing
        continue;
      }
      const losses = (this.#losses.get(target) ?? 0) + 1;
      this.#losses.set(target, losses);
      if (losses >= maxLosses)
        this.#actions.giveUp(
          target,
          `it was being built on ${losses} workers that were lost, the last: ${reason}`,
        );
      else this.#pool.putBack(target);
    }
    this.#wake();
  }

  #unexpected(name: string, resp: string): undefined {
    this.#actions.note(name, `${resp} was not expected`);
  }

  #begin(worker: DispatchedWorker, board: string): void {
    const target = this.#matrix.positionOf(board);
    if (target !== undefined && worker.inFlight.has(target)) worker.begun.add(target);
  }

  #result(worker: DispatchedWorker, result: BuildResult): void {
    const target = this.#matrix.positionOf(result.board);
    if (target === undefined || !worker.inFlight.has(target))
      return this.#actions.note(worker.offer.name, `result of '${result.board}', which it was not given`);
    if (!this.#matrix.isMissing(target, result.commit_upto))
      return this.#actions.note(worker.offer.name, `result of '${result.board}' that is there already`);
    if (!this.#doubt(worker, target, result)) this.#store(worker.offer.name, target, result);
    if (this.#matrix.missingOf(target) > this.#doubts.count(target, worker.offer.name)) return;
    worker.inFlight.delete(target);
    worker.done++;
    if (this.#matrix.missingOf(target) > 0) {
      this.#pool.putBack(target);
      return this.#wake();
    }
    this.#actions.complete(worker.offer.name, target);
    if (worker.phase === "building") this.#fill(worker);
  }

  #store(worker: string, target: number, result: BuildResult): void {
    this.#matrix.fill(target, result.commit_upto);
    for (const doubt of this.#doubts.settle(target, result)) this.#noteFault(target, doubt);
    this.#actions.store(worker, target, result.commit_upto, result);
  }

  /** Whether a result is not believed yet. */
  #doubt(worker: DispatchedWorker, target: number, result: BuildResult): boolean {
    const reason = hostFaultOf(result);
    if (reason === undefined) {
      worker.clearFaults();
      return false;
    }
    const { commit_upto: commit } = result;
    const others = this.#doubts.at(target, commit);
    const isShared = others.some((doubt) => doubt.reason === reason);
    // It may be the target's, after all.
    if (isShared) for (const each of this.#workers.values()) each.forgiveFault(target);
    if (this.#doubts.isEverywhere(reason)) return false;
    if (!this.#anyoneCan(target, worker)) {
      this.#doubts.noteEverywhere(target, commit, reason);
      return false;
    }
    const doubt = { worker: worker.offer.name, reason, result };
    if (!isShared) this.#noteFault(target, doubt);
    this.#doubts.add(target, commit, doubt);
    this.#actions.doubt(worker.offer.name, target, reason);
    return true;
  }

  #noteFault(target: number, { worker, reason }: Doubt): void {
    if (this.#workers.get(worker)?.noteFault(target)) this.#actions.setAside(worker, reason);
  }

  /** Whether there is, or may come, a worker that could build a target, another than this. */
  #anyoneCan(target: number, but?: DispatchedWorker): boolean {
    if (this.#expected > 0) return true;
    const { arch } = this.#matrix.targetAt(target);
    return [...this.#workers.values()].some(
      (worker) => worker !== but && worker.taker.fits(target) && hasCompiler(worker.taker, arch),
    );
  }

  /** What nobody else can build has failed. */
  #settleDoubts(): void {
    for (const target of this.#doubts.targets()) {
      if (this.#anyoneCan(target) || !this.#pool.remove(target)) continue;
      for (const { worker, result } of this.#doubts.of(target)) this.#store(worker, target, result);
      if (this.#matrix.missingOf(target) > 0) this.#pool.putBack(target);
    }
  }

  /** Its queue is drained: a target without all results has met an exception inside the worker. */
  #finished(worker: DispatchedWorker): void {
    worker.phase = "idle";
    if (worker.inFlight.size > 0) worker.hasLeftOut = true;
    for (const target of worker.inFlight) {
      worker.inFlight.delete(target);
      if (this.#leftOut.has(target)) {
        const reason = `${worker.offer.name} ended its round without building it, as another before`;
        this.#actions.giveUp(target, reason);
        continue;
      }
      this.#leftOut.add(target);
      this.#pool.putBack(target);
    }
    this.#wake();
  }

  /** Idle workers inherit what came back to the pool. */
  #wake(): void {
    this.#settleDoubts();
    if (this.#batch) return this.share();
    for (const worker of this.#workers.values()) {
      if (worker.phase === "building") this.#fill(worker);
      if (worker.phase !== "idle" || !this.#pool.hasFor(worker.taker)) continue;
      if (worker.isUnfit && this.#othersCan(worker)) continue;
      worker.phase = "preparing";
      const { slots, name } = worker.offer;
      this.#actions.send(name, { cmd: "build_prepare", commits: this.#matrix.hashes, max_boards: slots });
    }
  }

  /** What a worker has left out silently, or fails for its host, is not for it again, as long as there are others. */
  #othersCan(worker: DispatchedWorker): boolean {
    for (const other of this.#workers.values())
      if (other !== worker && !other.isUnfit && this.#pool.hasFor(other.taker)) return true;
    return false;
  }

  /** Fills its slots. */
  #fill(worker: DispatchedWorker): void {
    if (worker.isFaulty && this.#othersCan(worker)) return this.#drain(worker);
    while (worker.inFlight.size < worker.offer.slots) {
      const target = this.#pool.take(worker.taker);
      if (target === undefined) break;
      this.#take(worker, target);
      this.#actions.send(worker.offer.name, { cmd: "build_board", ...this.#orderFor(target) });
    }
    for (const each of this.#workers.values()) if (!this.#pool.hasFor(each.taker)) this.#drain(each);
  }

  /**
   * Nothing is left for it: it tells when its queue is empty. At once, and not when a slot is free: only so it shows
   * that a target has met an exception inside the worker and keeps its slot for ever.
   */
  #drain(worker: DispatchedWorker): void {
    if (worker.phase !== "building") return;
    worker.phase = "finishing";
    this.#actions.send(worker.offer.name, { cmd: "build_done" });
  }

  /** What a worker is told of a target: with the commits that are missing, if that is not all. */
  #orderFor(target: number): Target {
    const { name: board, arch } = this.#matrix.targetAt(target);
    const missing = this.#matrix.missingCommits(target);
    return { board, arch, ...(missing.length < this.#matrix.commits.length ? { commits: missing } : {}) };
  }

  #take(worker: DispatchedWorker, target: number): void {
    worker.inFlight.add(target);
    worker.sent++;
    this.#actions.given(worker.offer.name, target);
  }

  #giveBatch(worker: DispatchedWorker, count: number): void {
    const boards: Target[] = [];
    while (boards.length < count) {
      const target = this.#pool.take(worker.taker);
      if (target === undefined) break;
      this.#take(worker, target);
      boards.push(this.#orderFor(target));
    }
    if (boards.length === 0) return;
    worker.phase = "finishing";
    this.#actions.send(worker.offer.name, { cmd: "build_boards", boards, commits: this.#matrix.hashes });
  }
}
