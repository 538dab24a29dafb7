import type { Log } from "../../os/log.ts";
import type { BootstrapBackoff } from "./bootstrap-backoff.ts";
import type { BootstrapWaits } from "./bootstrap-waits.ts";
import type { Storage } from "../storage.ts";

/** What looking through the machines of a host needs to know. */
export interface EnumerationContext {
  /** The machines directory, with the volumes. */
  directory: string;
  /** An empty id is never compared. */
  toolchain: { name: string; id: string };
  /** Number of this instance. */
  instance: number;
  /** How many instances may be busy on this host; 0: as many as there are. */
  instanceMax: number;
  /** How many builds at a time a machine may serve here. */
  copies: number;
  /** Version of the worker that this agent serves; undefined: a foreign one, never compared. */
  workerVersion: string | undefined;
  storage: Storage;
  bootstrapBackoff: BootstrapBackoff;
  bootstrapWaits: BootstrapWaits;
  log: Log;
  signal?: AbortSignal;
  /** Waits before something that is gone is looked up again; by default a second. */
  pause?: (signal: AbortSignal | undefined) => Promise<void>;
}
