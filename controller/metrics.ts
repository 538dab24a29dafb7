/** What this controller tells Prometheus: the state of the farm, looked up when it is asked for, and the times of builds. */
import { packageVersion } from "../os/files/package.ts";
import { addProcessMetrics, MetricRegistry, type Gauge } from "../os/metrics.ts";
import type { Build } from "./builds/build.ts";
import type { Builds } from "./builds/builds.ts";
import type { Session } from "./builds/session.ts";
import type { Agents, AgentState } from "./fleet/agents.ts";
import type { Overview } from "./fleet/overview.ts";
import type { Pauses } from "./fleet/pauses.ts";
import type { WakeUps } from "./idle-agents/wake-ups.ts";

/** Seconds: from what an idle farm takes to a day. */
const bounds = [1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];

interface Looked {
  readonly builds: Pick<Builds, "count">;
  readonly wakeUps: Pick<WakeUps, "count">;
  readonly agents: Pick<Agents, "list">;
  readonly overview: Pick<Overview, "targets">;
  readonly pauses: Pick<Pauses, "list">;
}

/** Kept twice: for whoever may read of private builds, and without these for everybody else. */
export class ControllerMetrics {
  readonly #all: Shown;
  readonly #open: Shown;

  constructor(looked: Looked) {
    this.#all = new Shown(looked, true);
    this.#open = new Shown(looked, false);
  }

  /** A build was given to an agent. */
  given({ target, queued_at, started_at, is_private }: Build): void {
    if (!started_at) return;
    for (const { waits } of this.#showing(is_private))
      waits.observe(secondsFrom(queued_at, started_at), { target });
  }

  /** The result of an attempt was taken. */
  took({ target, is_private }: Build, { created_at, ended_at, status }: Session): void {
    if (!ended_at || status === null) return;
    for (const { attempts } of this.#showing(is_private))
      attempts.observe(secondsFrom(created_at, ended_at), { target, status });
  }

  /** The text that is scraped. */
  async format(withPrivate: boolean): Promise<string> {
    return await (withPrivate ? this.#all : this.#open).registry.format();
  }

  #showing(isPrivate: boolean): Shown[] {
    return isPrivate ? [this.#all] : [this.#all, this.#open];
  }
}

/** What somebody is shown. */
class Shown {
  readonly registry = new MetricRegistry();
  readonly waits = this.registry.histogram(
    "croft_build_wait_seconds",
    "How long builds waited that this controller gave to agents.",
    bounds,
    ["target"],
  );
  readonly attempts = this.registry.histogram(
    "croft_build_attempt_seconds",
    "How long agents had builds whose results this controller took, by the result's status.",
    bounds,
    ["target", "status"],
  );

  constructor(looked: Looked, withPrivate: boolean) {
    const { registry } = this;
    registry.gauge("croft_info", "Always 1; the label says which version this is.", ["version"]).set(1, {
      version: packageVersion,
    });
    addCounts(registry, looked, withPrivate);
    addTargets(registry, looked, withPrivate);
    addAgents(registry, looked, withPrivate);
    addProcessMetrics(registry);
  }
}

function addCounts(registry: MetricRegistry, { builds, wakeUps }: Looked, withPrivate: boolean): void {
  const counts = registry.gauge("croft_builds", "Builds by state.", ["state"]);
  const waiting = registry.gauge(
    "croft_waiting_agents",
    "Idle agents that this controller wakes for builds.",
  );
  registry.onCollect(async () => {
    waiting.set(wakeUps.count);
    for (const [state, count] of Object.entries(await builds.count(withPrivate)))
      counts.set(count, { state });
  });
}

function addTargets(registry: MetricRegistry, { overview }: Looked, withPrivate: boolean): void {
  const by = (name: string, help: string) => registry.gauge(name, help, ["target"]);
  const queued = by("croft_target_queued", "Builds that wait.");
  const building = by("croft_target_building", "Builds that agents have.");
  const oldest = by(
    "croft_target_oldest_queued_seconds",
    "How long the build waits that was submitted first of those that wait; 0: none does.",
  );
  const idle = by("croft_target_idle_agents", "Idle agents that have its machine and toolchain.");
  const paused = by("croft_target_paused", "1 while it is paused, or all are.");
  registry.onCollect(async () => {
    for (const gauge of [queued, building, oldest, idle, paused]) gauge.clear();
    for (const { name: target, ...state } of await overview.targets(withPrivate)) {
      queued.set(state.queued, { target });
      building.set(state.building, { target });
      oldest.set(state.oldest ? secondsFrom(state.oldest.queuedAt, new Date()) : 0, { target });
      idle.set(state.idleAgents, { target });
      paused.set(state.pause ? 1 : 0, { target });
    }
  });
}

function addAgents(registry: MetricRegistry, { agents, pauses }: Looked, withPrivate: boolean): void {
  const byState: Gauge = registry.gauge("croft_agents", "Agents heard of within a week, by state.", [
    "state",
  ]);
  const paused = registry.gauge("croft_agents_paused", "Agents that are paused.");
  registry.onCollect(async () => {
    const counts: Record<AgentState, number> = { building: 0, idle: 0, silent: 0 };
    for (const { state } of await agents.list(withPrivate)) counts[state]++;
    for (const [state, count] of Object.entries(counts)) byState.set(count, { state });
    paused.set((await pauses.list()).filter(({ kind }) => kind === "agent").length);
  });
}

function secondsFrom(from: Date, to: Date): number {
  return Math.max(0, (to.getTime() - from.getTime()) / 1000);
}
