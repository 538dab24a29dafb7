import type { Taker } from "./pool.ts";

/** A worker as far as dispatch is concerned. */
export interface WorkerOffer {
  readonly name: string;
  /** How many targets it is given at a time. */
  readonly slots: number;
  /** What it has toolchains for. */
  readonly architectures: ReadonlySet<string>;
  /** Relative speed, for shares in batch mode. */
  readonly capacity: number;
}

type WorkerPhase = "idle" | "preparing" | "building" | "finishing";

/** What a worker is doing, for displays and deadlines. */
export interface WorkerState {
  readonly phase: WorkerPhase;
  readonly inFlight: ReadonlySet<number>;
  /** Targets completed, and targets given to it. */
  readonly done: number;
  readonly sent: number;
}

/** After so many failures in turn that tell of its host, a worker would only take targets from others. */
const maxFaults = 5;

/** A worker, what it has been given, and what speaks against giving it more. */
export class DispatchedWorker implements WorkerState {
  readonly offer: WorkerOffer;
  readonly taker: Taker;
  phase: WorkerPhase = "idle";
  readonly inFlight = new Set<number>();
  /** Of these, those that it was heard to have begun. */
  readonly begun = new Set<number>();
  done = 0;
  sent = 0;
  /** It has ended a round without results of all that it was given. */
  hasLeftOut = false;
  /** Targets that have failed in turn for what tells of its host, and that nobody else has failed so. */
  readonly #faults = new Set<number>();
  #isSetAside = false;

  /** @param fits whether a target is for it. */
  constructor(offer: WorkerOffer, fits: (target: number) => boolean) {
    this.offer = offer;
    this.taker = { architectures: offer.architectures, fits };
  }

  /** What it fails tells of its host. */
  get isFaulty(): boolean {
    return this.#faults.size >= maxFaults;
  }

  /** It is to get work only if there is nobody else. */
  get isUnfit(): boolean {
    return this.hasLeftOut || this.isFaulty;
  }

  /** A target has failed for its host; true if that is one too many for the first time. */
  noteFault(target: number): boolean {
    this.#faults.add(target);
    if (!this.isFaulty || this.#isSetAside) return false;
    this.#isSetAside = true;
    return true;
  }

  /** It can build, after all. */
  clearFaults(): void {
    this.#faults.clear();
  }

  /** Another host has failed that target so, too. */
  forgiveFault(target: number): void {
    this.#faults.delete(target);
  }
}
