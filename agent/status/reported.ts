import type { Settings } from "../settings/settings.ts";
import type { SpoolMeter } from "../task-state/spool-size.ts";
import type { Signer } from "../wire/signing.ts";
import type { AgentMetrics } from "./metrics.ts";
import type { Status } from "./status.ts";

/** What of a running agent is reported. Fields change when the configuration is read again. */
export interface Reported {
  readonly settings: Settings;
  readonly status: Status;
  readonly metrics: AgentMetrics;
  readonly spoolMeter: SpoolMeter;
  /** Name of this build host, as told to controllers. */
  readonly hostName: string;
  /** Version of the worker served to machines; undefined for an operator's own without a version. */
  readonly workerVersion: string | undefined;
  /** Undefined without a key. */
  readonly signer: Signer | undefined;
}
