import type { RunObserver } from "./run.ts";

/** An observer of some events only. */
export type PartialObserver = Partial<RunObserver>;

/** One observer that tells several, in order; the first is the store, whose failure ends the run. */
export function combineObservers(observers: readonly PartialObserver[]): RunObserver {
  return {
    starting: (host) => observers.forEach((each) => each.starting?.(host)),
    started: (host, threads, slots) => observers.forEach((each) => each.started?.(host, threads, slots)),
    notStarted: (host, reason, busy) => observers.forEach((each) => each.notStarted?.(host, reason, busy)),
    lost: (host, reason, restarting) => observers.forEach((each) => each.lost?.(host, reason, restarting)),
    result: (host, target, commit, result) => {
      for (const each of observers) each.result?.(host, target, commit, result);
    },
    output: (host, piece) => observers.forEach((each) => each.output?.(host, piece)),
    given: (host, target) => observers.forEach((each) => each.given?.(host, target)),
    complete: (host, target) => observers.forEach((each) => each.complete?.(host, target)),
    gaveUp: (target, reason) => observers.forEach((each) => each.gaveUp?.(target, reason)),
    doubted: (host, target, reason) => observers.forEach((each) => each.doubted?.(host, target, reason)),
    setAside: (host, reason) => observers.forEach((each) => each.setAside?.(host, reason)),
    note: (host, text) => observers.forEach((each) => each.note?.(host, text)),
  };
}
