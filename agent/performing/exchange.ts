/**
 * One boot of a machine, and the files exchanged with it by TFTP.
 *
 * A boot has a TFTP server of its own, so that requests of an earlier boot count for nothing. The first request is
 * the guest's sign of life; an upload that has arrived completely is announced by the server: with a machine, nobody polls. The
 * machine may end before or after its upload is announced: an upload that is there counts either way.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Failure, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import type { Connection, ConnectionApart } from "../../machines/network/host-network.ts";
import type { MachineEnd, MachineNetwork, VirtualMachine } from "../../machines/virtual-machine.ts";
import { OwnProcess, type Requesters } from "../tftp/requesters.ts";
import type { TftpPort } from "../tftp/port.ts";
import { TftpServer } from "../tftp/server.ts";

export interface ExchangeOptions {
  /** Directory that the guest reads from. */
  readable: string;
  /** Directory that the guest's uploads appear in. */
  writable: string;
  address: string;
  port: number;
  uploadMaxBytes: number;
  /** Holds the port already. */
  held?: TftpPort | undefined;
  /** Who may ask; `own-process`: nobody but the machine's hypervisor. */
  requesters: Requesters | "own-process";
  log: Log;
  /** Connects the machine to the port of the TFTP server. Absent for a machine that somebody else runs. */
  connect?: (tftpPort: number) => Promise<Connection | ConnectionApart>;
  /** Starts the machine; absent like `connect`. */
  start?: (network: MachineNetwork) => Promise<VirtualMachine>;
}

/** How a wait ended. */
export type WaitResult =
  { kind: "done"; file: string } | { kind: "ended"; end: MachineEnd } | { kind: "timeout" };

/** A machine cannot be connected, as the host's network does not let it: one that is booted would not be, either. */
export class NotConnected extends Failure {}

export class Exchange implements AsyncDisposable {
  readonly tftp: TftpServer;
  readonly machine: VirtualMachine | undefined;
  readonly #resources: AsyncDisposableStack;
  readonly #writable: string;
  readonly #firstRequest: Promise<void>;
  readonly #connection: Connection | ConnectionApart | undefined;

  private constructor(
    parts: {
      tftp: TftpServer;
      connection: Connection | ConnectionApart | undefined;
      machine: VirtualMachine | undefined;
      writable: string;
      firstRequest: Promise<void>;
    },
    resources: AsyncDisposableStack,
  ) {
    this.tftp = parts.tftp;
    this.machine = parts.machine;
    this.#connection = parts.connection;
    this.#writable = parts.writable;
    this.#resources = resources;
    this.#firstRequest = parts.firstRequest;
  }

  /** @throws {Failure} of the farm's own: no port, no machine. */
  static async start(options: ExchangeOptions): Promise<Exchange> {
    await using stack = new AsyncDisposableStack();
    const { readable, writable, address, port, held, uploadMaxBytes, log } = options;
    const requesters = options.requesters === "own-process" ? new OwnProcess(log) : options.requesters;
    const own = requesters instanceof OwnProcess ? requesters : undefined;
    const tftp = stack.use(
      await TftpServer.start({ address, port, held, readable, writable, uploadMaxBytes, requesters, log }),
    );
    if (own) stack.use(own); // ends before the server, which waits for its verdicts
    const firstRequest = new Promise<void>((resolve) => tftp.once("request", () => resolve()));
    const connection = options.connect ? stack.use(await options.connect(tftp.port)) : undefined;
    const machine =
      connection && options.start ? stack.use(await options.start(connection.network)) : undefined;
    if (own && machine) {
      own.is(machine);
      void machine.ended.then(() => own[Symbol.dispose]());
    }
    return new Exchange({ tftp, connection, machine, writable, firstRequest }, stack.move());
  }

  /**
   * Connects a machine that was connected apart to what it may reach, as the one with a MAC address.
   *
   * @throws {@link NotConnected}; the signal's reason if aborted.
   */
  async join(mac: string, signal: AbortSignal): Promise<void> {
    if (!this.#connection || !("join" in this.#connection)) return;
    try {
      await this.#connection.join(mac, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw new NotConnected("connect a machine", reasonOf(error), { cause: error });
    }
  }

  /** Waits for the guest's sign of life. */
  async waitForFirstRequest(timeoutSeconds: number, signal: AbortSignal): Promise<WaitResult> {
    return this.#wait(
      this.#firstRequest.then(() => ""),
      timeoutSeconds,
      signal,
    );
  }

  /** Waits until one of the files has arrived completely. */
  async waitForUpload(
    names: readonly string[],
    timeoutSeconds: number,
    signal: AbortSignal,
  ): Promise<WaitResult> {
    const arrived = Promise.withResolvers<string>();
    const present = () => names.find((name) => existsSync(join(this.#writable, name)));
    const look = () => {
      const file = present();
      if (file !== undefined) arrived.resolve(file);
    };
    this.tftp.on("complete", look);
    // A person who plays the machine may put the file there by hand.
    const timer = this.machine ? undefined : setInterval(look, 500);
    try {
      look();
      const result = await this.#wait(arrived.promise, timeoutSeconds, signal);
      const late = present();
      return late === undefined ? result : { kind: "done", file: late };
    } catch (error) {
      const late = present(); // it was complete before the interruption
      if (late === undefined) throw error;
      return { kind: "done", file: late };
    } finally {
      clearInterval(timer);
      this.tftp.off("complete", look);
    }
  }

  async #wait(done: Promise<string>, timeoutSeconds: number, signal: AbortSignal): Promise<WaitResult> {
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(signal.reason as Error);
    signal.addEventListener("abort", onAbort, { once: true });
    const timedOut = Promise.withResolvers<WaitResult>();
    const timer = setTimeout(() => timedOut.resolve({ kind: "timeout" }), timeoutSeconds * 1000);
    try {
      return await Promise.race([
        done.then((file): WaitResult => ({ kind: "done", file })),
        ...(this.machine ? [this.machine.ended.then((end): WaitResult => ({ kind: "ended", end }))] : []),
        timedOut.promise,
        aborted.promise,
      ]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Forces the machine down, ends all transfers, frees the port. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }
}
