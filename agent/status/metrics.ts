/** What the agent counts and measures; each is recorded at one place, which names it. */
import { addProcessMetrics, MetricRegistry } from "../../os/metrics.ts";
import { packageVersion } from "../../os/files/package.ts";
import { withoutQuery } from "../../os/network/url.ts";
import type { Enumeration } from "../../machines/enumeration/enumeration.ts";
import { resultStatuses, type ResultStatus } from "../../manifests/result-status.ts";
import { phases } from "./activity.ts";
import { healthOf } from "./health.ts";
import { machineStates, MachineView } from "./machine-view.ts";
import type { Settings } from "../settings/settings.ts";
import type { SpoolMeter } from "../task-state/spool-size.ts";
import type { Status } from "./status.ts";
import type { TaskPhase } from "./task-phases.ts";

/** From a look at an up-to-date machine to the longest build that is usual. */
const durationBounds = [0.01, 0.1, 1, 5, 15, 60, 300, 900, 3600, 10800];
/** From a file that is written to the disk to the longest build that is usual. */
const taskPhaseBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900, 3600, 10800];

const deliveryOutcomes = ["accepted", "rejected", "failed"] as const;

/** `rejected`: kept aside for the operator; `failed`: it stays in the spool, and is sent again. */
export type DeliveryOutcome = (typeof deliveryOutcomes)[number];

/** How asking a controller went, for status pages. */
export interface ControllerState {
  /** Without secrets. */
  readonly url: string;
  readonly priority: number;
  lastPoll?: Date;
  lastSuccess?: Date;
  errors: number;
  lastError?: string;
  /** It is not asked before. */
  pausedUntil?: Date;
}

export class AgentMetrics {
  readonly registry = new MetricRegistry();
  /** By URL, as configured. */
  readonly controllers = new Map<string, ControllerState>();
  readonly machines = new MachineView();
  readonly #built = new Map<ResultStatus, number>();
  #settings: Settings;
  readonly #status: Status;
  readonly #spool: SpoolMeter;
  readonly #info = this.registry.gauge("croft_agent_info", "Always 1; the labels say who this is.", [
    "version",
    "toolchain",
    "instance",
  ]);
  readonly #healthy = this.registry.gauge(
    "croft_agent_healthy",
    "1 if /healthz answers 200, else 0: stuck, or kept from working by faults of the farm.",
  );
  readonly #phase = this.registry.gauge(
    "croft_agent_phase",
    "1 for what the agent is doing, 0 for the others.",
    ["phase"],
  );
  readonly #phaseStart = this.registry.gauge(
    "croft_agent_phase_start_time_seconds",
    "When what the agent is doing began, in seconds since 1970.",
  );
  readonly #machines = this.registry.gauge(
    "croft_agent_machines",
    "Machines by state, as of the last look through them.",
    ["state"],
  );
  readonly #looked = this.registry.gauge(
    "croft_agent_machines_enumerated_timestamp_seconds",
    "When the machines were last looked through, in seconds since 1970.",
  );
  readonly #builds = this.registry.counter(
    "croft_agent_builds_total",
    "Tasks performed, by the result's status.",
    ["status"],
  );
  readonly #bootstraps = this.registry.counter(
    "croft_agent_bootstraps_total",
    "Bootstraps, by their outcome.",
    ["outcome"],
  );
  readonly #durations = this.registry.histogram(
    "croft_agent_phase_duration_seconds",
    "How long the agent's phases took (enumerating, booting, building…).",
    durationBounds,
    ["phase"],
  );
  readonly #taskPhases = this.registry.histogram(
    "croft_task_phase_seconds",
    "How long the phases of a task took, each counted once a task (enumeration, snapshot, restore, build, send…).",
    taskPhaseBounds,
    ["phase"],
  );
  readonly #polls = this.registry.counter("croft_agent_polls_total", "Requests for a task, by controller.", [
    "controller",
  ]);
  readonly #pollErrors = this.registry.counter(
    "croft_agent_poll_errors_total",
    "Requests for a task without a usable answer, by controller.",
    ["controller"],
  );
  readonly #lastPoll = this.registry.gauge(
    "croft_agent_last_successful_poll_timestamp_seconds",
    "When the controller last gave a usable answer, in seconds since 1970; 0: never.",
    ["controller"],
  );
  readonly #deliveries = this.registry.counter(
    "croft_agent_deliveries_total",
    "Attempts to deliver a result, by their outcome.",
    ["outcome"],
  );
  readonly #spoolEntries = this.registry.gauge(
    "croft_agent_spool_entries",
    "Results in the spool: waiting for their controller, or rejected by it and kept aside.",
    ["state"],
  );
  readonly #spoolBytes = this.registry.gauge(
    "croft_agent_spool_bytes",
    "Size of the results in the spool, in bytes.",
    ["state"],
  );
  readonly #faults = this.registry.counter(
    "croft_agent_faults_total",
    "Faults of the farm (no disk space, no QEMU…) that made the agent pause.",
  );

  constructor(settings: Settings, status: Status, spool: SpoolMeter) {
    this.#settings = settings;
    this.#status = status;
    this.#spool = spool;
    const { name } = settings.toolchain;
    this.#info.set(1, { version: packageVersion, toolchain: name, instance: String(settings.instance) });
    // What has not happened yet is 0, and not absent: rates and alerts see the first time, too.
    for (const result of resultStatuses) this.#builds.add({ status: result }, 0);
    for (const outcome of ["success", "failure"]) this.#bootstraps.add({ outcome }, 0);
    for (const outcome of deliveryOutcomes) this.#deliveries.add({ outcome }, 0);
    this.#faults.add({}, 0);
    this.useSettings(settings);
    status.onPhaseEnd((phase, seconds) => this.#durations.observe(seconds, { phase }));
    this.registry.onCollect(() => this.#collect());
    addProcessMetrics(this.registry);
  }

  /** Shows the controllers of these settings, from now on only those; what is known of them stays. */
  useSettings(settings: Settings): void {
    this.#settings = settings;
    const known = new Map(this.controllers);
    this.controllers.clear();
    this.#lastPoll.clear();
    for (const { url, priority } of settings.controllers) {
      const controller = withoutQuery(url);
      const before = known.get(url);
      this.controllers.set(url, { ...(before ?? { errors: 0 }), url: controller, priority });
      this.#polls.add({ controller }, 0);
      this.#pollErrors.add({ controller }, 0);
      this.#lastPoll.set((before?.lastSuccess?.getTime() ?? 0) / 1000, { controller });
    }
  }

  /** By next-work.ts. */
  enumerated(enumeration: Enumeration): void {
    this.machines.take(enumeration);
  }

  /** By polling.ts, for an answer that could be used, with a task or without. */
  pollAnswered(url: string): void {
    const state = this.#polled(url);
    state.lastSuccess = state.lastPoll!;
    delete state.pausedUntil;
    this.#lastPoll.set(state.lastSuccess.getTime() / 1000, { controller: state.url });
  }

  /** By polling.ts, for a controller that could not be reached (then it is left alone for a while) or was not understood. */
  pollFailed(url: string, reason: string, pauseSeconds = 0): void {
    const state = this.#polled(url);
    state.errors++;
    state.lastError = reason.replaceAll(url, state.url);
    if (pauseSeconds > 0) state.pausedUntil = new Date(Date.now() + pauseSeconds * 1000);
    else delete state.pausedUntil;
    this.#pollErrors.add({ controller: state.url });
  }

  /** By work-loop.ts. */
  built(status: ResultStatus): void {
    this.#builds.add({ status });
    this.#built.set(status, (this.#built.get(status) ?? 0) + 1);
  }

  /** By work-loop.ts. */
  bootstrapped(outcome: "success" | "failure"): void {
    this.#bootstraps.add({ outcome });
  }

  /** By task-phases.ts. */
  taskPhase(phase: TaskPhase, seconds: number): void {
    this.#taskPhases.observe(seconds, { phase });
  }

  /** By work-loop.ts. */
  faulted(): void {
    this.#faults.add();
  }

  /** By delivery.ts. */
  delivered(outcome: DeliveryOutcome): void {
    this.#deliveries.add({ outcome });
  }

  get buildsByStatus(): Partial<Record<ResultStatus, number>> {
    return Object.fromEntries(resultStatuses.map((status) => [status, this.#built.get(status) ?? 0]));
  }

  async #collect(): Promise<void> {
    const { activity, since } = this.#status;
    for (const phase of phases) this.#phase.set(phase === activity.phase ? 1 : 0, { phase });
    this.#phaseStart.set(since.getTime() / 1000);
    this.#healthy.set(healthOf(this.#status, this.#settings).healthy ? 1 : 0);
    const count = this.machines.count(activity);
    for (const state of machineStates) this.#machines.set(count[state], { state });
    this.#looked.set((this.machines.enumerated?.getTime() ?? 0) / 1000);
    await this.#collectSpool();
  }

  async #collectSpool(): Promise<void> {
    this.#spoolEntries.clear();
    this.#spoolBytes.clear();
    // A spool that cannot be read has no size; the rest is worth telling all the same.
    const size = await this.#spool.size().catch(() => undefined);
    for (const [state, { entries, bytes }] of Object.entries(size ?? {})) {
      this.#spoolEntries.set(entries, { state });
      this.#spoolBytes.set(bytes, { state });
    }
  }

  #polled(url: string): ControllerState {
    let state = this.controllers.get(url);
    if (!state) {
      state = { url: withoutQuery(url), priority: 0, errors: 0 };
      this.controllers.set(url, state);
    }
    state.lastPoll = new Date();
    this.#polls.add({ controller: state.url });
    return state;
  }
}
