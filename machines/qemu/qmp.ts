import type { Duplex } from "node:stream";
import { Deadline } from "../../os/deadline.ts";
import { Failure, reasonOf } from "../../os/failure.ts";

/** An event as QEMU reports it. */
export interface QmpEvent {
  event: string;
  data?: Record<string, unknown>;
}

/** A command that QEMU refused, did not answer in time, or could not be sent. */
export class QmpFailure extends Failure {
  constructor(command: string, reason: string, cause?: unknown) {
    super(`execute QMP command '${command}'`, reason, { cause });
    this.name = "QmpFailure";
  }
}

interface Pending {
  command: string;
  settle(answer: { value: unknown } | { error: QmpFailure }): void;
}

/** More than any answer of the few commands used here; a guest must not grow the agent's memory through events. */
const lineLimit = 1024 * 1024;

/**
 * A client of the QEMU Machine Protocol (docs/interop/qmp-spec in QEMU): one JSON object a line, answers matched
 * to commands by `id`, events in between.
 */
export class QmpClient implements Disposable {
  readonly #stream: Duplex;
  readonly #onEvent: (event: QmpEvent) => void;
  readonly #pending = new Map<number, Pending>();
  readonly #greeting = Promise.withResolvers<void>();
  #nextId = 1;
  #partial = "";
  #closed: string | undefined;

  /** Takes over a connected stream; `onEvent` is called for every event, from the first on. */
  constructor(stream: Duplex, onEvent: (event: QmpEvent) => void) {
    this.#stream = stream;
    this.#onEvent = onEvent;
    this.#greeting.promise.catch(() => {}); // whoever waits for it sees it
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => this.#receive(text));
    stream.on("error", (error) => this.#close(reasonOf(error)));
    stream.on("end", () => this.#close("QEMU closed the connection"));
    stream.on("close", () => this.#close("QEMU closed the connection"));
  }

  /**
   * Waits for QEMU's greeting and leaves the negotiation mode; nothing else may be executed before.
   *
   * @throws {QmpFailure} if QEMU closes the connection or says nothing in time.
   */
  async negotiate(timeoutSeconds: number): Promise<void> {
    await withTimeout("qmp_capabilities", this.#greeting.promise, timeoutSeconds);
    await this.execute("qmp_capabilities", {}, timeoutSeconds);
  }

  /**
   * Executes a command.
   *
   * @returns what QEMU returns.
   * @throws {QmpFailure} if QEMU refuses it, does not answer in time, or is gone.
   */
  async execute(command: string, args: object = {}, timeoutSeconds = 10): Promise<unknown> {
    if (this.#closed !== undefined) throw new QmpFailure(command, this.#closed);
    const id = this.#nextId++;
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, {
        command,
        settle: (result) => ("error" in result ? reject(result.error) : resolve(result.value)),
      });
    });
    this.#stream.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    try {
      return await withTimeout(command, answer, timeoutSeconds);
    } finally {
      this.#pending.delete(id);
    }
  }

  [Symbol.dispose](): void {
    this.#close("the connection is closed");
    this.#stream.destroy();
  }

  #receive(text: string): void {
    const lines = (this.#partial + text).split("\n");
    this.#partial = lines.pop()!;
    for (const line of lines) this.#receiveLine(line.trim());
    if (this.#partial.length <= lineLimit) return;
    this.#close(`a line of more than ${lineLimit} characters`);
    this.#stream.destroy();
  }

  #receiveLine(line: string): void {
    if (line === "") return;
    let message: Record<string, unknown>;
    try {
      message = JSON.parse(line) as Record<string, unknown>;
    } catch (error) {
      this.#close(`QEMU sent something that is not JSON: ${reasonOf(error)}`);
      return;
    }
    if ("QMP" in message) this.#greeting.resolve();
    else if (typeof message["event"] === "string") this.#onEvent(message as unknown as QmpEvent);
    else this.#answer(message);
  }

  #answer(message: Record<string, unknown>): void {
    const pending = this.#pending.get(Number(message["id"]));
    if (!pending) return; // it came too late: whoever asked has given up
    const error = message["error"] as { desc?: string } | undefined;
    if (error) pending.settle({ error: new QmpFailure(pending.command, error.desc ?? "refused") });
    else pending.settle({ value: message["return"] });
  }

  #close(reason: string): void {
    this.#closed ??= reason;
    this.#partial = "";
    this.#greeting.reject(new QmpFailure("qmp_capabilities", this.#closed));
    for (const pending of this.#pending.values())
      pending.settle({ error: new QmpFailure(pending.command, this.#closed) });
    this.#pending.clear();
  }
}

async function withTimeout<T>(command: string, promise: Promise<T>, timeoutSeconds: number): Promise<T> {
  using deadline = new Deadline(timeoutSeconds);
  const late = deadline.passed.then(() => {
    throw new QmpFailure(command, `no answer after ${timeoutSeconds} s`);
  });
  return await Promise.race([promise, late]);
}
