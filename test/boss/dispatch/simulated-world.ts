/** Dispatch with simulated workers, message by message. */
import assert from "node:assert/strict";
import { Dispatch } from "../../../boss/dispatch/dispatch.ts";
import { Matrix } from "../../../boss/matrix/matrix.ts";
import { Pool } from "../../../boss/dispatch/pool.ts";
import type { BuildResult, Command, Response } from "../../../worker/protocol.ts";

/** A worker as buildman's is: it answers in order, and builds what it is given with all commits. */
export class SimulatedWorker {
  readonly name: string;
  readonly outbox: Response[] = [];
  readonly #commits: number;
  readonly #skips: (board: string) => boolean;
  /** What a build says that fails for its host. */
  readonly #fault: (board: string, commit: number) => string | undefined;

  constructor(
    name: string,
    commits: number,
    skips: (board: string) => boolean = () => false,
    fault: (board: string, commit: number) => string | undefined = () => undefined,
  ) {
    this.#fault = fault;
    this.name = name;
    this.#commits = commits;
    this.#skips = skips;
  }

  take(command: Command): void {
    if (command.cmd === "build_prepare") this.outbox.push({ resp: "build_prepare_done" });
    else if (command.cmd === "build_board") this.#build(command.board, command.commits);
    else if (command.cmd === "build_done") this.outbox.push({ resp: "build_done", exceptions: 0 });
    else if (command.cmd === "build_boards") {
      for (const { board } of command.boards) this.#build(board);
      this.outbox.push({ resp: "build_done", exceptions: 0 });
    }
  }

  #build(board: string, commits?: readonly number[]): void {
    this.outbox.push({ resp: "heartbeat", board, thread: 0 });
    if (this.#skips(board)) return;
    for (const commit of commits ?? Array.from({ length: this.#commits }, (_, at) => at))
      this.outbox.push(this.#resultOf(board, commit));
  }

  #resultOf(board: string, commit: number): BuildResult {
    const stderr = this.#fault(board, commit);
    return stderr === undefined
      ? resultOf(board, commit)
      : { ...resultOf(board, commit), return_code: 2, stderr };
  }
}

export function resultOf(board: string, commit_upto: number): BuildResult {
  return { resp: "build_result", board, commit_upto, return_code: 0, stderr: "", stdout: "", load_avg: 0 };
}

interface World {
  dispatch: Dispatch;
  matrix: Matrix;
  workers: Map<string, SimulatedWorker>;
  stored: Map<string, number>;
  givenUp: Map<number, string>;
  /** What was noted of workers, and what they have completed: `worker: text`. */
  notes: string[];
  completed: string[];
  sent: Map<string, Command[]>;
  doubts: string[];
  setAside: string[];
  /** Return codes by cell. */
  codes: Map<string, number>;
  add(worker: SimulatedWorker, slots: number, architectures?: string[], capacity?: number): void;
}

export function makeWorld(options: {
  targets: number;
  commits: number;
  batch?: boolean;
  arch?: (target: number) => string;
  isBuilt?: (target: number, commit: number) => boolean;
}): World {
  const targets = Array.from({ length: options.targets }, (_, at) => ({
    name: `t${at}`,
    arch: options.arch?.(at) ?? "sandbox",
  }));
  const commits = Array.from({ length: options.commits }, (_, at) => ({
    hash: String(at).padStart(40, "0"),
    subject: `commit ${at}`,
  }));
  const matrix = new Matrix(targets, commits, options.isBuilt);
  const missing = targets.keys().filter((target) => matrix.missingOf(target) > 0);
  const pool = new Pool(targets, missing.toArray());
  const workers = new Map<string, SimulatedWorker>();
  const stored = new Map<string, number>();
  const givenUp = new Map<number, string>();
  const notes: string[] = [];
  const completed: string[] = [];
  const sent = new Map<string, Command[]>();
  const doubts: string[] = [];
  const setAside: string[] = [];
  const codes = new Map<string, number>();
  const actions = {
    send: (name: string, command: Command) => {
      sent.set(name, [...(sent.get(name) ?? []), command]);
      workers.get(name)?.take(command);
    },
    store: (_name: string, target: number, commit: number, { return_code }: BuildResult) => {
      const cell = `${target} ${commit}`;
      codes.set(cell, return_code);
      stored.set(cell, (stored.get(cell) ?? 0) + 1);
    },
    given: () => {},
    complete: (name: string, target: number) => void completed.push(`${name}: ${target}`),
    doubt: (name: string, target: number, reason: string) =>
      void doubts.push(`${name} t${target}: ${reason}`),
    setAside: (name: string, reason: string) => void setAside.push(`${name}: ${reason}`),
    giveUp: (target: number, reason: string) => void givenUp.set(target, reason),
    note: (name: string, text: string) => void notes.push(`${name}: ${text}`),
  };
  const dispatch = new Dispatch(matrix, pool, actions, { batch: options.batch ?? false });
  const add: World["add"] = (worker, slots, architectures = [], capacity = 1) => {
    workers.set(worker.name, worker);
    dispatch.addWorker({ name: worker.name, slots, architectures: new Set(architectures), capacity });
  };
  return { dispatch, matrix, workers, stored, givenUp, notes, completed, sent, doubts, setAside, codes, add };
}

/** Delivers what a worker has to say next. */
export function deliver({ dispatch, workers }: World, name: string): void {
  const message = workers.get(name)?.outbox.shift();
  if (!message) return;
  const reason = dispatch.receive(name, message);
  assert.equal(reason, undefined);
}

export function deliverAll(world: World): void {
  for (let moved = true; moved;) {
    moved = false;
    for (const [name, { outbox }] of world.workers)
      while (outbox.length > 0) {
        moved = true;
        deliver(world, name);
      }
  }
}
