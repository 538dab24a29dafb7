/**
 * The console of a machine for operators' terminals: what the guest writes goes to whoever is connected, and what they
 * type goes to the guest. Beside the console file, and never at its cost: a terminal that does not read is dropped.
 */
import { once } from "node:events";
import { chmodSync, closeSync, fstatSync, openSync, readSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import type { Readable, Writable } from "node:stream";

/** What a terminal gets to see of the past when it connects. */
const pastBytes = 4096;
/** How far a terminal may fall behind. */
const backlogMaxBytes = 1024 * 1024;

export class ConsoleServer implements Disposable {
  readonly #server: Server;
  readonly #terminals = new Set<Socket>();
  readonly #input: Writable;
  readonly #pastFile: string;

  private constructor(server: Server, input: Writable, pastFile: string) {
    this.#server = server;
    this.#input = input;
    this.#pastFile = pastFile;
    input.setMaxListeners(0); // one for each terminal
    server.on("connection", (socket) => this.#greet(socket));
  }

  /**
   * Listens on a Unix socket that only this user can open.
   *
   * @param output what the guest writes from now on.
   * @param input takes what is typed.
   * @param pastFile has what the guest wrote before somebody connects.
   * @throws a system error if the socket cannot be made.
   */
  static async start(
    path: string,
    output: Readable,
    input: Writable,
    pastFile: string,
  ): Promise<ConsoleServer> {
    const server = createServer();
    const listening = once(server, "listening");
    server.listen(path);
    await listening;
    chmodSync(path, 0o600);
    server.unref();
    const console = new ConsoleServer(server, input, pastFile);
    output.on("data", (chunk: Buffer) => console.#show(chunk));
    return console;
  }

  /** Ends all connections; the terminals see the end. */
  [Symbol.dispose](): void {
    this.#server.close();
    for (const terminal of this.#terminals) terminal.end();
  }

  #show(chunk: Buffer): void {
    for (const terminal of this.#terminals) {
      if (terminal.writableLength > backlogMaxBytes) terminal.destroy();
      else terminal.write(chunk);
    }
  }

  /** In one go: between the past and what is written from now on, nothing may get lost. */
  #greet(terminal: Socket): void {
    terminal.on("error", () => terminal.destroy());
    terminal.on("close", () => this.#terminals.delete(terminal));
    terminal.write(this.#past());
    this.#terminals.add(terminal);
    terminal.pipe(this.#input, { end: false });
  }

  #past(): Buffer {
    try {
      const fd = openSync(this.#pastFile, "r");
      try {
        const past = Buffer.alloc(pastBytes);
        const position = Math.max(0, fstatSync(fd).size - pastBytes);
        return past.subarray(0, readSync(fd, past, 0, pastBytes, position));
      } finally {
        closeSync(fd);
      }
    } catch {
      return Buffer.alloc(0); // without a console file there is no past to be shown
    }
  }
}
