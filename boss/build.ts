/** Builds a planned matrix, stores what comes, and says what became of it. */
import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { attempt, Failure } from "../os/failure.ts";
import { tryLockFile } from "../os/files/flock.ts";
import { temporaryDirectory } from "../os/files/temporary.ts";
import { withoutUndefined } from "../os/without-undefined.ts";
import { hostFaultOf } from "../worker/host-fault.ts";
import { Durations } from "./dispatch/durations.ts";
import { EventLog } from "./results/event-log.ts";
import type { Host } from "./hosts/hosts.ts";
import { Matrix, type Target } from "./matrix/matrix.ts";
import { whatHostsGet, type Outgoing } from "./matrix/what-hosts-get.ts";
import { combineObservers, type PartialObserver } from "./dispatch/observers.ts";
import type { Plan } from "./planning/plan.ts";
import { Pool } from "./dispatch/pool.ts";
import { Run, type RunOptions } from "./dispatch/run.ts";
import type { FarmRunOptions } from "./farm/farm-run.ts";
import { changesSince, driftOf, type Compilers } from "./hosts/compilers.ts";
import { compilersSeen, noteCompilers } from "./results/compilers-seen.ts";
import { noteArchitectures } from "./results/architectures.ts";
import { IncomingOutputs } from "./results/incoming-outputs.ts";
import { startWorker, type StartedWorker } from "./hosts/start.ts";
import type { BuildOutcome } from "./results/outcome.ts";
import { CellMemory } from "./results/cell-memory.ts";
import { ResultStore } from "./results/store.ts";
import { storing } from "./results/storing.ts";
import type { WarningFilter } from "./results/warning-filter.ts";

const pushTimeoutSeconds = 3600;
const answerTimeoutSeconds = 60;
const heartbeatMaxSeconds = 30;
const buildTimeoutSeconds = 300;
/** As long as croft's own worker lets a build take. */
const silentBuildSeconds = 4 * 3600;
/** In which the result of one that has taken so long gets here. */
const lateResultSeconds = 300;

export interface BuildSettings {
  hosts: readonly Host[];
  batch: boolean;
  force: boolean;
  /** Builds again what has failed. */
  failuresAgain: boolean;
  /** Undefined: as is usual for the kind of worker. */
  buildTimeoutSeconds: number | undefined;
  connectTimeoutSeconds: number;
  /** Shows progress; made when it is known what is missing. */
  observe: (matrix: Matrix) => PartialObserver;
  onComplaint: (host: Host, line: string) => void;
  /** A host with more gets no work; in per cent of its threads. */
  mostLoadPercent?: number | undefined;
  /** Takes out of standard error what the summary is not to tell. */
  filter?: WarningFilter;
  /** Builds on the machines of a controller, and not on the hosts. */
  farm?: Farm;
  signal: AbortSignal;
}

/** What is needed to build through a controller. */
type Farm = Pick<FarmRunOptions, "controller" | "target" | "repository" | "how" | "say">;

/** @throws {Failure} if results cannot be written, or another boss writes there. */
export async function build(plan: Plan, settings: BuildSettings): Promise<BuildOutcome> {
  using _lock = await lockOutput(plan.output);
  const { farm } = settings;
  await using outgoing = farm ? undefined : await outgoingOf(plan);
  const store = new ResultStore(plan.output, plan.commits);
  noteArchitectures(plan.output, plan.targets);
  const { matrix, stale } = missingIn(store, plan, settings);
  const already = plan.targets.length * plan.commits.length - matrix.missingCount;
  const outcome = { matrix, store, memory: new CellMemory(settings.filter), already, ...nothingYet() };
  using events = new EventLog(plan.output, matrix);
  using incoming = new IncomingOutputs(plan.output);
  const durations = new Durations(plan.output);
  const architectures = new Set<string>();
  const observer = combineObservers([
    storing(store, matrix, {
      ...{ memory: outcome.memory, incoming },
      ...withoutUndefined({ currentTree: plan.currentTree }),
    }),
    durations.observer(matrix),
    events.observer,
    recordingIn(outcome),
    settings.observe(matrix),
  ]);
  await using control = await attempt("make a directory for control sockets", temporaryDirectory("cb-"));
  let forgotten: Promise<void> | undefined;
  // So that a run that is interrupted leaves none of the old results among the new; not before there is somebody who builds.
  const forget = () => (stale.length > 0 ? (forgotten ??= store.forget(stale)) : Promise.resolve());
  const start = async (host: Host, signal: AbortSignal, replaced?: number): Promise<StartedWorker> => {
    const worker = await startWorker(
      host,
      startSettings(plan, settings, control.path, outgoing!, signal),
      replaced,
    );
    for (const architecture of worker.architectures) architectures.add(architecture);
    outcome.compilers.set(host.name, worker.compilers ?? {});
    if (worker.strain !== undefined) outcome.strained.set(host.name, worker.strain);
    await forget();
    return worker;
  };
  const work = { matrix, observer, signal: settings.signal };
  const running = farm
    ? import("./farm/farm-run.ts").then(({ runThroughController }) =>
        runThroughController({ ...farm, ...work, ...placeOf(plan), begin: forget }),
      )
    : runOnHosts(work, settings, durations, start);
  const ended = await running.finally(() => store.settle());
  durations.save();
  const withoutToolchain = ended.remaining.filter((at) => !architectures.has(matrix.targetAt(at).arch));
  return {
    ...{ ...outcome, ...ended, ...compareCompilers(plan.output, outcome.compilers) },
    withoutToolchain: farm || ended.workers === 0 ? [] : withoutToolchain,
  };
}

function runOnHosts(
  work: Pick<RunOptions, "matrix" | "observer" | "signal">,
  settings: BuildSettings,
  durations: Durations,
  start: RunOptions["start"],
) {
  const { matrix } = work;
  const { hosts, batch } = settings;
  const missing = [...matrix.targets.keys()].filter((target) => matrix.missingOf(target) > 0);
  const pool = new Pool(matrix.targets, missing, (target) => durations.of(target));
  return new Run({ hosts, pool, batch, ...work, ...timeoutsOf(settings), start }).run();
}

function outgoingOf(plan: Plan) {
  const commits = plan.commits.flatMap(({ hash }) => hash ?? []);
  return whatHostsGet({ ...plan, source: plan.project.source, commits });
}

/** What a controller is told of where the builds are from. */
function placeOf(plan: Plan) {
  return { project: basename(plan.project.source) || "root", currentCommit: plan.tips[0]! };
}

/** What has no result that counts, and the results that are there and do not. */
function missingIn(store: ResultStore, plan: Plan, settings: BuildSettings) {
  const stale: [Target, number][] = [];
  // Whatever a host had not may be there now.
  const isToTryAgain = (target: number, commit: number) => {
    const return_code = store.returnCodeOf(plan.targets[target]!, commit)!;
    if (return_code === 0 || settings.failuresAgain) return return_code !== 0;
    const stderr = store.readFile(plan.targets[target]!, commit, "err") ?? "";
    return hostFaultOf({ return_code, stderr }) !== undefined;
  };
  const isBuilt = (target: number, commit: number) => {
    if (store.returnCodeOf(plan.targets[target]!, commit) === undefined) return false;
    if (!settings.force && isOfSource(store, plan, target, commit) && !isToTryAgain(target, commit))
      return true;
    stale.push([plan.targets[target]!, commit]);
    return false;
  };
  return { matrix: new Matrix(plan.targets, plan.commits, isBuilt), stale };
}

function timeoutsOf(settings: BuildSettings) {
  return {
    buildTimeoutSeconds: settings.buildTimeoutSeconds ?? buildTimeoutSeconds,
    silentBuildSeconds: settings.buildTimeoutSeconds ?? silentBuildSeconds,
    // Never less: who wants to hear of a worker often has not said that builds are short.
    longestBuildSeconds: Math.max(silentBuildSeconds, settings.buildTimeoutSeconds ?? 0) + lateResultSeconds,
  };
}

/** Among each other, and with those of the last runs. */
function compareCompilers(output: string, compilers: ReadonlyMap<string, Compilers>) {
  const changedCompilers = changesSince(compilersSeen(output), compilers);
  noteCompilers(output, compilers);
  return { drift: driftOf(compilers), changedCompilers };
}

function startSettings(
  plan: Plan,
  settings: BuildSettings,
  controlDirectory: string,
  outgoing: Outgoing,
  signal: AbortSignal,
) {
  const { connectTimeoutSeconds, onComplaint } = settings;
  // Three in the time after which silence means that the worker is lost.
  const heartbeat = Math.min(
    heartbeatMaxSeconds,
    Math.floor((settings.buildTimeoutSeconds ?? buildTimeoutSeconds) / 3),
  );
  return {
    ssh: { controlDirectory, connectTimeoutSeconds },
    outgoing,
    repository: plan.repository,
    toolchains: plan.toolchains,
    architectures: new Set(plan.targets.map(({ arch }) => arch)),
    mostLoadPercent: settings.mostLoadPercent,
    settings: { heartbeat, ...plan.settings },
    workerCommand: plan.workerCommand,
    logDirectory: plan.output,
    answerTimeoutSeconds,
    pushTimeoutSeconds,
    onComplaint,
    signal,
  };
}

/** Two bosses would overwrite each other's results. What is made here is for its user alone: logs tell how they build. */
async function lockOutput(directory: string): Promise<Disposable> {
  await attempt(`make '${directory}'`, mkdir(directory, { recursive: true, mode: 0o700 }));
  const lock = tryLockFile(join(directory, ".croft-lock"));
  if (lock) return lock;
  throw new Failure(`write results to '${directory}'`, "another boss is writing there", {
    hints: ["Wait for it, or give another directory with --output."],
  });
}

/** A commit never changes; a result of the current source counts only while that is the same. */
function isOfSource(store: ResultStore, { targets, currentTree }: Plan, target: number, commit: number) {
  return (
    currentTree === undefined || store.readFile(targets[target]!, commit, "source")?.trim() === currentTree
  );
}

/** What a run has to tell of targets and hosts beside its results. */
function nothingYet() {
  const givenUp = new Map<number, string>();
  const absent: BuildOutcome["absent"] = [];
  const lost: BuildOutcome["lost"] = [];
  const doubted: BuildOutcome["doubted"] = [];
  const compilers = new Map<string, Compilers>();
  const strained = new Map<string, string>();
  return { givenUp, absent, lost, doubted, compilers, strained };
}

function recordingIn(outcome: ReturnType<typeof nothingYet>): PartialObserver {
  return {
    gaveUp: (target, reason) => void outcome.givenUp.set(target, reason),
    notStarted: (host, reason, busy) => void outcome.absent.push({ host: host.name, reason, busy }),
    doubted: (host, _target, reason) => {
      const same = outcome.doubted.find((each) => each.host === host.name && each.reason === reason);
      if (same) same.times++;
      else outcome.doubted.push({ host: host.name, reason, times: 1 });
    },
    lost: (host, reason) => void outcome.lost.push({ host: host.name, reason }),
  };
}
