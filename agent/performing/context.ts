import type { Log } from "../../os/log.ts";
import type { Storage } from "../../machines/storage.ts";
import type { StartOptions, VirtualMachine } from "../../machines/virtual-machine.ts";
import type { Delivery } from "../results/delivery.ts";
import type { Directories } from "../settings/directories.ts";
import type { Settings } from "../settings/settings.ts";
import type { Status } from "../status/status.ts";
import type { TaskPhases } from "../status/task-phases.ts";
import type { TftpPort } from "../tftp/port.ts";
import type { SignsOfLife } from "../task-state/signs-of-life.ts";
import type { Spool } from "../task-state/spool.ts";
import type { HttpClient } from "../wire/http.ts";
import type { MachineKeeper } from "./kept-machine.ts";

/** What it takes to bootstrap machines and to perform tasks on them. */
export interface PerformingContext {
  settings: Settings;
  /** Where files are exchanged with machines. */
  directories: Directories;
  log: Log;
  /** Where machines are, and how snapshots of them are made. */
  storage: Storage;
  /** Starts a virtual machine. */
  startMachine: (options: StartOptions) => Promise<VirtualMachine>;
  /** Holds the port of the TFTP servers; absent: each has it for its own time. */
  tftpPort?: TftpPort;
  /** Sends live logs. */
  client: HttpClient;
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
