import type { Duplex } from "node:stream";
import type { Log } from "../os/log.ts";
import type { Machine } from "../manifests/machine.ts";

/** Why a machine of a type is run nowhere here, on purpose (docs/machine-import.md). */
export function typeRefusal(type: "nspawn"): string {
  return (
    `its type is '${type}': a container isolates a build less than a virtual machine, and would need rights that an ` +
    "agent must not have; a machine whose memory was saved says its first word as soon"
  );
}

/** How a virtual machine came to its end. */
export interface MachineEnd {
  /**
   * `shutdown`: the guest powered off or reset; `panic`: its kernel panicked; `forced`: {@link
   * VirtualMachine.forceDown} or disposing; `exited`: the hypervisor died by itself or was killed from outside; `room`: the
   * host has no room for what it writes to its disk.
   */
  how: "shutdown" | "panic" | "forced" | "exited" | "room";
  /** One line of what was observed, for messages. */
  detail: string;
}

/**
 * A running virtual machine.
 *
 * The contract, whatever hypervisor is behind it:
 * - Its end is seen from whatever shows it first, and announced once: `ended` settles exactly once and never
 *   rejects. After that the hypervisor's process is gone, its disks are free, and all methods are harmless no-ops.
 * - It cannot outlive the process that started it, however that dies.
 * - Disposing forces it down if it still runs, waits for the hypervisor to be gone, and removes sockets and pid
 *   file. The console file stays: it is evidence, and whoever owns the runtime directory removes it.
 */
export interface VirtualMachine extends AsyncDisposable {
  readonly ended: Promise<MachineEnd>;
  /** The hypervisor's process, whose sockets are the guest's in the user-mode network. */
  readonly pid: number;
  /** Number of the user that only this machine's process has; undefined if that is the agent's. */
  readonly user: number | undefined;
  /** What the guest wrote on its serial console; of bounded size: head and tail, the cut marked. */
  readonly consoleFile: string;
  /**
   * Waits for the end.
   *
   * @returns undefined if it still runs after the time.
   * @throws the signal's reason if aborted; the machine goes on.
   */
  wait(timeoutSeconds: number, signal?: AbortSignal): Promise<MachineEnd | undefined>;
  /**
   * Presses the power button, and waits for the guest to power off.
   *
   * @returns true if it ended in time (or had ended before).
   */
  shutdown(timeoutSeconds: number): Promise<boolean>;
  /** Ends it at once, as if unplugged; never fails. */
  forceDown(): Promise<void>;
  /**
   * Stops its processors, and its clocks with them; memory and disks stay as evidence. From here on its screen can be
   * had by operators of this host, and no more by anybody else.
   */
  suspend(): Promise<void>;
  resume(): Promise<void>;
  /**
   * Waits until an operator (`croft machine resume|kill`) resumes or ends the suspended machine; done at once if it
   * is not suspended.
   *
   * @throws the signal's reason if aborted.
   */
  resumedOrEnded(signal?: AbortSignal): Promise<"resumed" | "ended">;
  /** For error messages: what it is, where its files are, and how an operator looks into it; several lines. */
  describe(): string;
  /** Of a machine with {@link StartOptions.memory}. */
  readonly warm?: WarmMachine;
}

/** What a machine with its memory in a file has besides. */
export interface WarmMachine {
  /** The host's end of the port `org.croft.control`; destroyed with the machine, or before. */
  readonly control: Duplex;
  /** Everything that the guest sees of how it was started: one that is restored must see the same. */
  readonly options: readonly string[];
  /** Version of the hypervisor. */
  readonly version: string;
  /**
   * Puts {@link StartOptions.extraDisks} of a machine that was restored, and its device in the network of its {@link
   * StartOptions.group}, in their places, while it stands still; what is in the files of the disks by now is what is on them.
   *
   * @throws {Failure} if that fails; the machine has some of them, or none.
   */
  plug(): Promise<void>;
  /**
   * Has the hypervisor stand still, too, whose timers run on beside a machine that does (QEMU's cursor blinks on a screen that
   * nobody sees); plugging, going on and the end wake it up.
   */
  rest(): void;
  /** Has a machine that was restored go on: until then it stands still. */
  proceed(): Promise<void>;
  /**
   * Stops the machine, writes the state of its devices to a file that is not there, and ends it.
   *
   * @throws {Failure} if that fails; the machine may then be in any state.
   */
  save(device: string): Promise<void>;
}

/**
 * Where a machine's memory is.
 *
 * `save`: in the file, which is there and empty; what that has at the end belongs to what {@link WarmMachine.save} wrote.
 * `restore`: as in the file, which stays as it is; the machine goes on where it was saved, with the same disks, when it is
 * told to ({@link WarmMachine.proceed}).
 */
export type Memory =
  | { mode: "save"; ram: string }
  /** `options`, `version`: those of the machine that was saved; with others it is not started. */
  | { mode: "restore"; ram: string; device: string; options: readonly string[]; version: string };

/** How the guest is connected. */
export type MachineNetwork =
  /** The hypervisor's user-mode network: the guest finds the TFTP server of the host's loopback at its gateway. */
  | { kind: "user"; tftpPort: number }
  /** A tap interface, which the caller has made and attached to a bridge, and removes after the machine's end. */
  | { kind: "bridge"; interfaceName: string; tftpAddress: string; tftpPort: number };

/** A second network device, in a network that only the machines of one group are in. */
export interface GroupPort {
  /** Of that device; six hexadecimal pairs with colons. */
  mac: string;
  /** The machine's IPv4 address there, with the length of the network's prefix: `198.18.0.2/24`. */
  address: string;
  /** Gets the host's end of the cable, once for each start of the machine; destroyed with the machine. */
  connect: (stream: Duplex) => void;
}

/** A machine's screen and keyboard for people on other hosts: VNC on TCP port 5900 + `display`. */
export interface PublicScreen {
  display: number;
  /** At most 8 characters count: the limit of VNC's authentication (RFC 6143, 7.2.2). */
  password: string;
}

/** A user without any right of its own. */
export interface MachineUser {
  /** Of the user, and of its group. */
  id: number;
  /** A further group. */
  group?: number;
}

/** A disk beside the machine's own: a raw image, which is written to. */
export interface ExtraDisk {
  path: string;
  /** By which the guest knows it: at most 20 letters, digits and dashes. */
  serial: string;
}

/** What a virtual machine is started from. */
export interface StartOptions {
  /** For process lists and messages, e.g. `debian_12-gcc_12-1`. */
  name: string;
  machine: Machine;
  /** Six hexadecimal pairs with colons. */
  mac: string;
  /** The snapshot: disks, and kernel, initrd and cmdline for direct boot; written to. */
  directory: string;
  /** Sockets, pid file and console log; must be there. One machine at a time. */
  runtimeDirectory: string;
  /** Whom the hypervisor runs as, instead of the agent's user. */
  user?: MachineUser;
  network: MachineNetwork;
  /** For a machine that is in a group. */
  group?: GroupPort;
  cpus: number;
  ramKiB: number;
  accel: "auto" | "kvm" | "tcg";
  /** Program, instead of the one for the machine's architecture. */
  qemu?: string;
  log: Log;
  /**
   * Bytes that the guest wrote to its log port (`org.croft.log`), as they come, up to a bounded amount per
   * second: a guest that floods it is held back, and not the agent.
   */
  onLog?: (chunk: Buffer) => void;
  /** Who may see and use its screen over the network from its start on; without it, nobody. */
  publicScreen?: PublicScreen;
  /** For a machine that is saved or restored; by default its memory is the hypervisor's own. */
  memory?: Memory;
  /** How many disks it may have beside its own; by default none. One that is saved has places for those of its copies. */
  places?: number;
  /** They are there from the start, or when a restored machine is told to have them ({@link WarmMachine.plug}). */
  extraDisks?: readonly ExtraDisk[];
  /** Told once the hypervisor takes commands, with the milliseconds that this took. */
  onAnswer?: (milliseconds: number) => void;
  /** Size of the console file; default 1 MiB. */
  consoleMaxBytes?: number;
  /** Aborting while starting ends the attempt; afterwards it does nothing. */
  signal?: AbortSignal;
}
