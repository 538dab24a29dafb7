import type { Log } from "../os/log.ts";
import type { Storage } from "../machines/storage.ts";
import type { StartOptions, VirtualMachine } from "../machines/virtual-machine.ts";
import type { Delivery } from "./results/delivery.ts";
import type { Directories } from "./settings/directories.ts";
import type { HttpClient } from "./wire/http.ts";
import type { AgentMetrics } from "./status/metrics.ts";
import type { Polling } from "./asking/polling.ts";
import type { Settings } from "./settings/settings.ts";
import type { Signer } from "./wire/signing.ts";
import type { SpoolMeter } from "./task-state/spool-size.ts";
import type { Spool } from "./task-state/spool.ts";
import type { Status } from "./status/status.ts";

/** What every part of a running agent works with. */
export interface Context {
  settings: Settings;
  directories: Directories;
  log: Log;
  storage: Storage;
  startMachine: (options: StartOptions) => Promise<VirtualMachine>;
  client: HttpClient;
  polling: Polling;
  spool: Spool;
  delivery: Delivery;
  spoolMeter: SpoolMeter;
  status: Status;
  metrics: AgentMetrics;
  /** Absent without a key. */
  signer: Signer | undefined;
  /** Version of the worker served to machines; undefined for an operator's own without a version. */
  workerVersion: string | undefined;
  /** Where people find the screen of an interactive task, `address:port`; undefined if none are accepted. */
  login: string | undefined;
  /** Name of this build host, as told to controllers. */
  hostName: string;
  /** Aborted when the agent is asked to end. */
  stop: AbortSignal;
}

/** Pauses after faults of the farm grow up to this. */
export const faultPauseMaxSeconds = 600;

/**
 * Version of what the agent does with a task. A change invalidates what was built before: controllers send back the
 * one of a task's last build, and if it differs the worker must not skip.
 */
export const agentChecksum = "1";

/** The reason of an abort when a task is to give way or the agent is to end. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}
