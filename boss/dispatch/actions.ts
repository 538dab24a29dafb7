import type { BuildResult, Command } from "../../worker/protocol.ts";

/** What dispatch asks of its surroundings. */
export interface DispatchActions {
  send(worker: string, message: Command): void;
  /** The first result of a cell, by positions in the matrix. */
  store(worker: string, target: number, commit: number, result: BuildResult): void;
  /** A target was given to a worker. */
  given(worker: string, target: number): void;
  /** A worker has built all that was missing of a target. */
  complete(worker: string, target: number): void;
  /** A target that no further worker is tried on. */
  giveUp(target: number, reason: string): void;
  /** A failure that tells of the worker's host: the target is tried elsewhere. */
  doubt(worker: string, target: number, reason: string): void;
  /** All that a worker built of late tells of its host: it gets nothing more while there are others. */
  setAside(worker: string, reason: string): void;
  /** Something that a worker should not have sent; it is ignored. */
  note(worker: string, text: string): void;
}
