/**
 * A matrix built through a controller: each missing result is a build of its own, queued there beside all others. A window
 * of them is submitted at a time, so that a large matrix does not fill the queue, and an end of the run leaves little behind.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ConnectionFailure } from "../../controller/client/connection.ts";
import { Failure, UsageFailure } from "../../os/failure.ts";
import { returnCodes, type BuildResult } from "../../worker/protocol.ts";
import type { RunObserver, RunOutcome } from "../dispatch/run.ts";
import type { Host } from "../hosts/hosts.ts";
import type { Matrix } from "../matrix/matrix.ts";
import { artifactPrefix, buildArguments, configPrefix, type CommandSettings } from "./build-command.ts";
import type { FarmBuild, FarmBuildDetails, FarmController } from "./controller.ts";

/** Builds that wait or run at a time. */
const windowSize = 200;
const shortestPauseMs = 250;
const longestPauseMs = 2000;
/** How often a build that waits is asked for its reason. */
const waitingPollMs = 15_000;
/** Of each file of a result. */
const keptBytes = 2 * 1024 * 1024;

export interface FarmRunOptions {
  controller: Pick<FarmController, "base" | "targets" | "submit" | "list" | "details" | "cancel" | "text">;
  /** Of the controller's; undefined: the only one that it has. */
  target: string | undefined;
  /** Where machines fetch the source. */
  repository: string;
  /** For the builds' names. */
  project: string;
  matrix: Matrix;
  /** What is built where the matrix has the current source. */
  currentCommit: string;
  how: CommandSettings;
  observer: RunObserver;
  /** Called once, when the controller has answered. */
  begin: () => Promise<void>;
  /** Tells of what keeps it waiting. */
  say: (text: string) => void;
  signal: AbortSignal;
}

interface Cell {
  target: number;
  commit: number;
}

/** Runs to the end. @throws {Failure} if the controller refuses a build; what has been submitted is cancelled. */
export async function runThroughController(options: FarmRunOptions): Promise<RunOutcome> {
  const { matrix, signal } = options;
  if (matrix.missingCount === 0)
    return { remaining: [], interrupted: signal.aborted, workers: 0, traffic: [] };
  const run = new FarmRun(options, await chosenTarget(options));
  await options.begin();
  options.say(`The matrix is at ${run.pageUrl}`);
  try {
    await run.run();
  } finally {
    await run.cancelAll();
  }
  return {
    remaining: [...matrix.targets.keys()].filter((target) => matrix.missingOf(target) > 0),
    interrupted: signal.aborted,
    workers: run.agents.size,
    traffic: [],
  };
}

/** @throws {UsageFailure} if there is none, or it is not clear which. */
async function chosenTarget({ controller, target }: FarmRunOptions): Promise<string> {
  const targets = await controller.targets();
  if (target === undefined && targets.length === 1) return targets[0]!;
  if (target !== undefined && targets.includes(target)) return target;
  const reason = target === undefined ? "it has several targets" : `it has no target '${target}'`;
  throw new UsageFailure(`build through the controller at ${controller.base}`, reason, {
    hints: [`--on names one of ${targets.join(", ")}`],
  });
}

class FarmRun {
  readonly agents = new Map<string, Host>();
  readonly #options: FarmRunOptions;
  readonly #target: string;
  readonly #name: string;
  readonly #queue: Cell[];
  readonly #open = new Map<number, Cell>();
  #unreachable = false;
  #askedAt = performance.now();
  #told = "";
  /** Controllers of earlier versions take no places in a matrix. */
  #tellsPlaces = true;

  constructor(options: FarmRunOptions, target: string) {
    const { matrix, project } = options;
    this.#options = options;
    this.#target = target;
    // One for each run: by it the run's builds are found among all others.
    const plain = project.replaceAll(/[^A-Za-z0-9_.+-]/g, "_").slice(0, 100);
    this.#name = `${plain}-matrix-${randomBytes(4).toString("hex")}`;
    this.#queue = [...matrix.targets.keys()].flatMap((at) =>
      matrix.missingCommits(at).map((commit) => ({ target: at, commit })),
    );
  }

  get pageUrl(): string {
    return new URL(`packages/${encodeURIComponent(this.#name)}`, `${this.#options.controller.base}/`).href;
  }

  async run(): Promise<void> {
    const { signal } = this.#options;
    let pause = shortestPauseMs;
    while (!signal.aborted && (this.#queue.length > 0 || this.#open.size > 0)) {
      const before = this.#open.size + this.#queue.length;
      await this.#patiently(() => this.#submitSome());
      await this.#patiently(() => this.#collectSome());
      await this.#patiently(() => this.#tellReason());
      const isMoving = this.#open.size + this.#queue.length < before;
      pause = isMoving ? shortestPauseMs : Math.min(longestPauseMs, pause * 1.5);
      if (this.#open.size > 0) await sleep(pause, undefined, { signal }).catch(() => {});
    }
  }

  /** What was submitted and has not ended is wanted no more. */
  async cancelAll(): Promise<void> {
    const { controller } = this.#options;
    const ids = new Set(this.#open.keys());
    if (ids.size === 0) return;
    // An answer may have been lost: then there is a build that is not known here.
    const listed = await controller.list(this.#name).catch(() => ({ builds: [] }));
    for (const { id, state } of listed.builds) if (state === "queued" || state === "building") ids.add(id);
    await Promise.allSettled([...ids].map((id) => controller.cancel(id)));
  }

  /** A controller that is away comes back. */
  async #patiently(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.#unreachable = false;
    } catch (error) {
      if (!(error instanceof ConnectionFailure)) throw error;
      if (!this.#unreachable) this.#options.say(`${error.message}; trying again`);
      this.#unreachable = true;
    }
  }

  async #submitSome(): Promise<void> {
    const { signal } = this.#options;
    while (this.#queue.length > 0 && this.#open.size < windowSize && !signal.aborted) {
      const cell = this.#queue[0]!;
      const [build, ...more] = await this.#submit(cell);
      for (const { id } of [...(build ? [build] : []), ...more]) this.#open.set(id, cell);
      this.#queue.shift();
      if (!build || more.length > 0)
        throw new Failure("submit a build", `the controller made ${more.length + (build ? 1 : 0)} of one`);
    }
  }

  async #submit(cell: Cell): Promise<FarmBuild[]> {
    const { controller } = this.#options;
    try {
      return await controller.submit({
        ...this.#submissionOf(cell),
        ...(this.#tellsPlaces ? { cell: this.#placeOf(cell) } : {}),
      });
    } catch (error) {
      if (!this.#tellsPlaces || error instanceof ConnectionFailure || !isOfEarlierVersion(error)) throw error;
      this.#tellsPlaces = false;
      return await this.#submit(cell);
    }
  }

  /** What the controller's page of the run shows it by. */
  #placeOf({ target, commit }: Cell): object {
    const { hash, subject } = this.#options.matrix.commitAt(commit);
    const title = `${hash?.slice(0, 12) ?? ""} ${subject}`.trim().slice(0, 200);
    return { row: this.#options.matrix.targetAt(target).name, column: commit, title };
  }

  /** Why the build that was submitted first waits, if it does. */
  async #tellReason(): Promise<void> {
    const [id] = this.#open.keys();
    if (id === undefined || performance.now() < this.#askedAt + waitingPollMs) return;
    this.#askedAt = performance.now();
    const { waiting, url } = await this.#options.controller.details(id);
    if (waiting && waiting !== this.#told) this.#options.say(`${url} waits: ${waiting}`);
    this.#told = waiting ?? this.#told;
  }

  #submissionOf({ target, commit }: Cell): object {
    const { matrix, repository, currentCommit, how } = this.#options;
    return {
      name: this.#name,
      repository: `${repository}#${matrix.commitAt(commit).hash ?? currentCommit}`,
      type: "git",
      force: true, // which results are wanted is known here
      targets: [this.#target],
      config: buildArguments(matrix.targetAt(target), how),
    };
  }

  async #collectSome(): Promise<void> {
    if (this.#open.size === 0) return;
    for (const build of await this.#endedBuilds()) {
      await this.#collect(build.id, this.#open.get(build.id)!);
      this.#open.delete(build.id);
    }
  }

  async #endedBuilds(): Promise<FarmBuild[]> {
    const oldest = Math.min(...this.#open.keys());
    const ended: FarmBuild[] = [];
    let before: number | undefined;
    do {
      const { builds, next } = await this.#options.controller.list(this.#name, before);
      ended.push(
        ...builds.filter(({ id, state }) => this.#open.has(id) && state !== "queued" && state !== "building"),
      );
      before = next ?? undefined;
    } while (before !== undefined && before > oldest);
    return ended.reverse();
  }

  async #collect(id: number, { target, commit }: Cell): Promise<void> {
    const { controller, matrix, observer } = this.#options;
    const details = await controller.details(id);
    const attempt = details.attempts.at(-1);
    const files = await this.#filesOf(details);
    const returnCode = Number(files.get("done") ?? NaN);
    if (!Number.isInteger(returnCode) || returnCode === returnCodes.noToolchain)
      return observer.gaveUp(target, await this.#reasonOf(details, returnCode));
    const host = this.#hostOf(attempt?.agent ?? "unknown");
    if (!matrix.fill(target, commit)) return;
    observer.result(host, target, commit, resultOf(matrix.targetAt(target).name, commit, returnCode, files));
  }

  #hostOf(agent: string): Host {
    const host = this.agents.get(agent) ?? { name: agent, destination: undefined, workDirectory: "" };
    this.agents.set(agent, host);
    return host;
  }

  /** Of its last attempt; the files of a result by their names. */
  async #filesOf({ artifacts, attempts }: FarmBuildDetails): Promise<Map<string, string>> {
    const last = attempts.at(-1)?.attempt;
    const own = artifacts.filter(({ attempt, name }) => attempt === last && name.startsWith(artifactPrefix));
    return new Map(
      await Promise.all(
        own.map(async ({ name, url }): Promise<[string, string]> => [
          name.slice(artifactPrefix.length),
          await this.#options.controller.text(url, keptBytes),
        ]),
      ),
    );
  }

  /** Why a build has no result: what the operation that failed has said last. */
  async #reasonOf(details: FarmBuildDetails, returnCode: number): Promise<string> {
    const { url, state, status, operations } = details;
    if (returnCode === returnCodes.noToolchain) return `its machine has no compiler for it (${url})`;
    const failed = operations.findLast((each) => each.status !== "success") ?? operations.at(-1);
    if (!failed) return `its build ended with ${status ?? state} (${url})`;
    const log = await this.#options.controller.text(failed.logUrl, 4096);
    const lines = log.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("==> "));
    return `its build ended with ${status ?? state} of ${failed.name}: ${lines.at(-1) ?? ""} (${url})`;
  }
}

function isOfEarlierVersion(error: unknown): boolean {
  return error instanceof Failure && /'cell'|additional propert/.test(error.message);
}

function resultOf(
  board: string,
  commit: number,
  returnCode: number,
  files: ReadonlyMap<string, string>,
): BuildResult {
  const prefix = configPrefix.slice(artifactPrefix.length);
  const config = Object.fromEntries(
    [...files].flatMap(([name, text]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), text]] : [],
    ),
  );
  const sizes = files.get("sizes");
  return {
    ...{ resp: "build_result", board, commit_upto: commit, return_code: returnCode, load_avg: 0 },
    ...{ stdout: files.get("log") ?? "", stderr: files.get("err") ?? "" },
    ...(sizes ? { sizes: { raw: sizes } } : {}),
    ...(Object.keys(config).length > 0 ? { config } : {}),
  };
}
