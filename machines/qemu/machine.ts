import type { ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { Deadline } from "../../os/deadline.ts";
import { Failure, reasonOf } from "../../os/failure.ts";
import type { MachineEnd, StartOptions, VirtualMachine, WarmMachine } from "../virtual-machine.ts";
import type { BoundedFile } from "./bounded-file.ts";
import type { ConsoleServer } from "./console-server.ts";
import { Migration } from "./memory.ts";
import type { QmpClient, QmpEvent } from "./qmp.ts";
import { consoleSocket, operatorSocket, removeRuntimeFiles, screenSocket } from "./runtime-files.ts";
import type { SocketDirectory } from "./socket-directory.ts";

/** How long the last events may take to arrive once QEMU has ended, and QEMU to end after a panic. */
const lingerSeconds = 5;
/** How long QEMU may take to end once the guest has shut down: on closing, it still writes a qcow2 disk's tables. */
const closeSeconds = 60;
/** How long QEMU may take to obey when it is told to quit. */
const quitSeconds = 2;
/** A power button that comes while the guest's kernel still starts is lost: press again. */
const powerButtonSeconds = 5;

/** What a machine is made of; see startVirtualMachine(). */
export interface QemuParts {
  options: StartOptions;
  child: ChildProcess;
  consoleFile: BoundedFile;
  /** Where QEMU makes sockets. */
  sockets: SocketDirectory;
  /** Makes the snapshot the agent's user's again. */
  takeBack: () => Promise<void>;
  /** What QEMU said on standard error. */
  complaint: () => string;
}

/**
 * A machine in a QEMU process.
 *
 * How it ended is told by QMP events, that it ended by the process: only when that is gone are its disks and its MAC
 * address free. The last events may be read after the process's exit is seen, so the end is announced when exit
 * and end of all streams have been seen. After a SHUTDOWN or GUEST_PANICKED event, a process that lingers is killed; one
 * that QEMU stops because the host's disk is full is killed at once.
 */
export class QemuMachine implements VirtualMachine {
  readonly ended: Promise<MachineEnd>;
  readonly consoleFile: string;
  qmp: QmpClient | undefined;
  /** Operators' terminals at its console. */
  terminals: ConsoleServer | undefined;
  warm?: WarmMachine;
  readonly migration = new Migration();
  readonly #parts: QemuParts;
  readonly #aborted = new AbortController();
  #reason: MachineEnd | undefined;
  #over = false;
  #stopped = false;
  #screenSocket: string | undefined;
  #onResume: (() => void) | undefined;

  constructor(parts: QemuParts) {
    this.#parts = parts;
    this.consoleFile = parts.consoleFile.path;
    this.ended = this.#observeProcess();
  }

  /** Takes note of a QMP event. */
  observe({ event, data }: QmpEvent): void {
    this.#parts.options.log.debug({ event, data }, "QEMU event");
    if (event === "GUEST_PANICKED") {
      this.#endsBy({ how: "panic", detail: "the guest's kernel panicked" });
      this.#killLater(lingerSeconds);
    } else if (event === "SHUTDOWN") {
      this.#endsBy(endOf(String(data?.["reason"] ?? "unknown")));
      this.#killLater(closeSeconds);
    } else if (event === "BLOCK_IO_ERROR" && data?.["action"] === "stop") {
      // It would wait for room that its own disk takes, until its time is over.
      this.#endsBy({ how: "room", detail: "the host has no room for what it writes to its disk" });
      this.#parts.child.kill("SIGKILL");
    } else if (event === "MIGRATION") {
      this.migration.observe(data);
    } else if (event === "STOP") {
      this.#stopped = true;
    } else if (event === "RESUME") {
      this.#stopped = false;
      this.#onResume?.();
    }
  }

  get pid(): number {
    return this.#parts.child.pid!; // who starts it hands it out only once it has answered
  }

  get user(): number | undefined {
    return this.#parts.options.user?.id;
  }

  async wait(timeoutSeconds: number, signal?: AbortSignal): Promise<MachineEnd | undefined> {
    signal?.throwIfAborted();
    using deadline = new Deadline(timeoutSeconds, signal);
    const end = await Promise.race([this.ended, deadline.passed]);
    if (end !== "late") return end;
    signal?.throwIfAborted();
    return undefined;
  }

  async shutdown(timeoutSeconds: number): Promise<boolean> {
    const deadline = performance.now() + timeoutSeconds * 1000;
    for (;;) {
      await this.#tryExecute("system_powerdown");
      const left = (deadline - performance.now()) / 1000;
      if (await this.wait(Math.max(0, Math.min(left, powerButtonSeconds)))) return true;
      if (left <= powerButtonSeconds) return false;
    }
  }

  /** Stops QEMU's process; it can still be killed, and dies with the agent. */
  rest(): void {
    if (!this.#over) this.#parts.child.kill("SIGSTOP");
  }

  /** Undoes {@link rest}. */
  wake(): void {
    if (!this.#over) this.#parts.child.kill("SIGCONT");
  }

  async forceDown(): Promise<void> {
    if (!this.#over) {
      this.wake();
      this.#endsBy({ how: "forced", detail: "forced down" });
      if (!(await this.#quits())) this.#parts.child.kill("SIGKILL");
    }
    await this.ended;
  }

  async suspend(): Promise<void> {
    if (this.#over) return;
    await this.#execute("stop");
    await this.#moveScreen();
  }

  async resume(): Promise<void> {
    if (!this.#over) await this.#execute("cont");
  }

  async resumedOrEnded(signal?: AbortSignal): Promise<"resumed" | "ended"> {
    const resumed = Promise.withResolvers<"resumed">();
    if (!this.#stopped) resumed.resolve("resumed"); // an operator may be faster than the agent
    this.#onResume = () => resumed.resolve("resumed");
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(signal!.reason);
    signal?.throwIfAborted();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([resumed.promise, this.ended.then(() => "ended" as const), aborted.promise]);
    } finally {
      this.#onResume = undefined;
      signal?.removeEventListener("abort", onAbort);
    }
  }

  describe(): string {
    const { options, child } = this.#parts;
    const socket = operatorSocket(options.runtimeDirectory);
    return [
      `machine ${options.name}, QEMU process ${child.pid}, MAC address ${options.mac}`,
      `console: ${this.consoleFile}`,
      ...(this.terminals ? [`console, to type on: ${consoleSocket(options.runtimeDirectory)}`] : []),
      ...(this.#screenSocket === undefined ? [] : [`VNC: ${this.#screenSocket}${this.#passwordNote()}`]),
      `disks: ${options.directory}`,
      ...(socket ? [`QMP: ${socket} (look into it: socat - UNIX-CONNECT:${socket})`] : []),
    ].join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.forceDown();
    this.terminals?.[Symbol.dispose]();
    this.#parts.consoleFile[Symbol.dispose]();
    await removeRuntimeFiles(this.#parts.options.runtimeDirectory);
  }

  /** Nobody sees the screen by VNC before it has one. */
  async setScreenPassword(password: string): Promise<void> {
    await this.#execute("set_password", { protocol: "vnc", password });
  }

  /** The screen of a suspended machine is for operators of this host only: on a Unix socket. */
  async #moveScreen(): Promise<void> {
    const { sockets, options } = this.#parts;
    const [socket, path] = [screenSocket(options.runtimeDirectory), sockets.screen];
    try {
      if (socket === undefined) throw new Failure("make its socket", "the path would be too long");
      await this.#execute("display-update", { type: "vnc", addresses: [{ type: "unix", path }] });
      await sockets.moveOut(socket);
      this.#screenSocket = socket;
    } catch (error) {
      // QEMU before 7.1 has no such command.
      options.log.warn({ reason: reasonOf(error) }, "the machine's screen cannot be had by VNC");
    }
  }

  #passwordNote(): string {
    const { publicScreen } = this.#parts.options;
    return publicScreen === undefined ? "" : ` (password ${publicScreen.password})`;
  }

  async #observeProcess(): Promise<MachineEnd> {
    const { child, complaint } = this.#parts;
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
    const exit = await new Promise<string>((resolve) => {
      child.once("error", (error: NodeJS.ErrnoException) => {
        if (child.pid === undefined) resolve(`QEMU did not start: ${reasonOf(error)}`);
      });
      child.once("exit", (code, signal) =>
        resolve(signal ? `QEMU ended by ${signal}` : `QEMU ended with status ${code}`),
      );
    });
    for (const stream of child.stdio) (stream as Readable | null)?.resume?.(); // the throttle may have paused one
    if (child.pid !== undefined)
      await Promise.race([closed, delay(lingerSeconds * 1000, undefined, { ref: false })]);
    this.#over = true;
    this.migration.fail("QEMU has ended");
    this.warm?.control.destroy();
    this.qmp?.[Symbol.dispose]();
    this.terminals?.[Symbol.dispose]();
    this.#aborted.abort();
    await this.#takeBack();
    const said = complaint();
    return this.#reason ?? { how: "exited", detail: said ? `${exit}: ${said}` : exit };
  }

  async #takeBack(): Promise<void> {
    const { takeBack, options } = this.#parts;
    try {
      await takeBack();
    } catch (error) {
      options.log.warn(
        { directory: options.directory, reason: reasonOf(error) },
        "files are still QEMU's user's",
      );
    }
  }

  async #quits(): Promise<boolean> {
    try {
      await this.qmp?.execute("quit", {}, quitSeconds);
      return (await this.wait(quitSeconds)) !== undefined;
    } catch {
      return false; // not ready for commands yet, or stuck
    }
  }

  /** The first reason counts: after a panic QEMU reports a shutdown too. */
  #endsBy(reason: MachineEnd): void {
    this.#reason ??= reason;
  }

  #killLater(seconds: number): void {
    delay(seconds * 1000, undefined, { ref: false, signal: this.#aborted.signal }).then(
      () => this.#parts.child.kill("SIGKILL"),
      () => {}, // it has ended
    );
  }

  async #execute(command: string, args: object = {}): Promise<void> {
    try {
      await this.qmp?.execute(command, args);
    } catch (error) {
      if (await this.wait(1)) return; // it ended meanwhile, which is no failure
      throw error;
    }
  }

  async #tryExecute(command: string): Promise<void> {
    if (this.#over) return;
    try {
      await this.#execute(command);
    } catch (error) {
      this.#parts.options.log.warn({ reason: reasonOf(error) }, "QEMU does not take a command");
    }
  }
}

/** `reason` is QEMU's ShutdownCause (qapi/run-state.json). */
function endOf(reason: string): MachineEnd {
  if (reason === "guest-panic") return { how: "panic", detail: "the guest's kernel panicked" };
  if (reason === "guest-shutdown") return { how: "shutdown", detail: "the guest powered off" };
  // With -no-reboot a reset is an end, also the one of a kernel with panic=-1 and no panic device.
  if (reason === "guest-reset") return { how: "shutdown", detail: "the guest reset itself" };
  return { how: "exited", detail: `QEMU was ended from outside (${reason})` };
}
