import type { Delivery } from "../results/delivery.ts";
import type { Status } from "../status/status.ts";
import type { TaskPhases } from "../status/task-phases.ts";
import type { SignsOfLife } from "../task-state/signs-of-life.ts";
import type { Spool } from "../task-state/spool.ts";
import type { HttpClient } from "../wire/http.ts";
import type { Signer } from "../wire/signing.ts";
import type { AheadContext, MachineKeeper } from "./kept-machine.ts";

/** What it takes to bootstrap machines and to perform tasks on them. */
export interface PerformingContext extends AheadContext {
  /** Sends live logs. */
  client: HttpClient;
  /** Proves to controllers which agent this is; undefined without a key. */
  signer: Signer | undefined;
  /** Shows controllers that their sessions are held. */
  signs: SignsOfLife;
  /** Where tasks and results are written down. */
  spool: Spool;
  /** Sends earlier results while this one waits. */
  delivery: Delivery;
  /** Keeps a machine restored while there is no task. */
  ahead: MachineKeeper;
  /** Is told what is being done. */
  status: Status;
  /** Is told where the time of a task goes. */
  phases: TaskPhases;
  /** Version of the worker served to machines; undefined for an operator's own without a version. */
  workerVersion: string | undefined;
  /** Where people find the screen of an interactive task, `address:port`; undefined if none are accepted. */
  login: string | undefined;
  /** Name of this build host, as told to controllers. */
  hostName: string;
  /** Aborted when the agent is asked to end. */
  stop: AbortSignal;
}
