/** What is known of a machine that is restored ahead of its task, to those who are not concerned with how (ahead.ts). */
import type { Log } from "../../os/log.ts";
import type { MachinePaths } from "../../machines/layout.ts";
import type { Storage } from "../../machines/storage.ts";
import type { StartOptions, VirtualMachine } from "../../machines/virtual-machine.ts";
import type { WarmState } from "../../machines/warm/state.ts";
import type { Directories } from "../settings/directories.ts";
import type { Settings } from "../settings/settings.ts";
import type { WarmSubject } from "../settings/warm.ts";
import type { TftpPort } from "../tftp/port.ts";
import type { Exchange } from "./exchange.ts";

/** A machine that stands still, with its snapshot; whoever has taken it disposes of both, of the machine first. */
export interface AheadMachine {
  exchange: Exchange;
  snapshot: AsyncDisposable;
  /** Has what the guest writes to its log go there. */
  listen: (onLog: (chunk: Buffer) => void) => void;
}

/** What it takes to restore one. */
export interface AheadContext {
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
}

/** Keeps one machine at most; disposed of while there is no task. */
export interface MachineKeeper extends AsyncDisposable {
  /** Whether a machine that is free is to be restored now, with its lock held: it was used last. */
  isWanted(context: AheadContext, subject: WarmSubject): Promise<boolean>;
  /**
   * Restores a machine; the caller holds its lock, and may give it back afterwards. A failure is told, and the machine is not
   * tried again before its next task.
   *
   * @throws the signal's reason if aborted.
   */
  keep(context: AheadContext, subject: WarmSubject, signal: AbortSignal): Promise<void>;
  /** Hands over the machine for a task, whose lock the caller holds; else there is none, nor one in its way. */
  take(context: AheadContext, paths: MachinePaths, state: WarmState): Promise<AheadMachine | undefined>;
  /** Looks at the machine that is kept: whether it still may be. */
  look(context: AheadContext): Promise<void>;
  /** Throws it away, if there is one; where it would have exchanged files may be a task's by now. */
  discard(): Promise<void>;
}
