import type { HostAbility } from "./ability.ts";
import type { Polling } from "./asking/polling.ts";
import type { WakeUps } from "./asking/wake-ups.ts";
import type { PerformingContext } from "./performing/context.ts";
import type { AgentMetrics } from "./status/metrics.ts";
import type { SpoolMeter } from "./task-state/spool-size.ts";

/** All that a running agent works with. Rooms say by interfaces of their own what of it they use. */
export interface Context extends PerformingContext {
  /** Asks the controllers. */
  polling: Polling;
  /** Waits at the controllers while there is nothing to do. */
  wakeUps: WakeUps;
  /** Tells how much waits in the spool. */
  spoolMeter: SpoolMeter;
  metrics: AgentMetrics;
  /** Knows whether this host can build. */
  ability: HostAbility;
}
