/** A worker as a run sees it; the test plays the rest. */
import type { WorkerListener } from "../../../boss/hosts/connection.ts";
import type { Host } from "../../../boss/hosts/hosts.ts";
import type { StartedWorker, WorkerConnection } from "../../../boss/hosts/start.ts";
import type { Command, Response } from "../../../worker/protocol.ts";

/** What it answers to a command, if anything; after what has called it has returned. */
export type Answers = (command: Command) => Response | readonly Response[] | undefined;

export class WorkerDouble implements StartedWorker, WorkerConnection {
  readonly host: Host;
  threads = 1;
  capacity = 1;
  architectures = new Set<string>();
  pid = 4711;
  readonly connection = this;
  readonly sent: Command[] = [];
  lastComplaint = "";
  bytesSent = 0;
  bytesReceived = 0;
  readonly closed: Promise<string>;
  /** Whether its connection was closed by the run. */
  dropped = false;
  /** Whether it ends when it is told to. */
  obeys = true;
  readonly #closed = Promise.withResolvers<string>();
  readonly #listening = Promise.withResolvers<WorkerListener>();
  readonly #answers: Answers;

  constructor(host: Host, answers: Answers = () => undefined) {
    this.host = host;
    this.#answers = answers;
    this.closed = this.#closed.promise;
  }

  send(command: Command): void {
    this.sent.push(command);
    if (command.cmd === "quit" && this.obeys) this.die("quit");
    const answers = [this.#answers(command) ?? []].flat();
    if (answers.length > 0) setImmediate(() => void this.say(...answers));
  }

  async drop(): Promise<void> {
    this.dropped = true;
    this.die("dropped");
  }

  /** Its process ends. */
  die(reason: string): void {
    this.#closed.resolve(reason);
  }

  listen(listener: WorkerListener): void {
    this.#listening.resolve(listener);
  }

  /** Whom it tells what happens; there once it takes part in the run. */
  get listener(): Promise<WorkerListener> {
    return this.#listening.promise;
  }

  async say(...messages: readonly Response[]): Promise<void> {
    const listener = await this.listener;
    for (const message of messages) listener.message(message);
  }
}
