import type { Log } from "../host/log.ts";
import { reasonOf } from "../host/failure.ts";
import { notifySystemd, sendState } from "../host/systemd.ts";

/** What the agent is doing now, in one line; shown by systemd. */
export class Status {
  readonly #log: Log;
  readonly #systemd: boolean;
  #ready = false;
  #stopping = false;
  #text = "starting";
  #told = Promise.resolve();

  constructor(log: Log, systemd: boolean) {
    this.#log = log;
    this.#systemd = systemd;
  }

  get text(): string {
    return this.#text;
  }

  set(text: string): void {
    if (text === this.#text) return;
    this.#text = text;
    this.#log.debug({ status: text }, "status");
    this.#tell({ status: text });
  }

  /** The agent works: its machines have been looked through once. */
  ready(): void {
    if (this.#ready) return;
    this.#ready = true;
    this.#tell({ ready: true, status: this.#text });
  }

  /** Does what a reload consists of; systemd shows the service as reloading meanwhile. */
  async reloading(work: () => Promise<void>): Promise<void> {
    // Before the agent is up there is nothing to reload, and READY would say that it is up.
    if (!this.#ready) return await work();
    this.#send(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
    try {
      await work();
    } finally {
      this.#send("READY=1");
    }
  }

  /** The agent is about to end. */
  stopping(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#send("STOPPING=1");
  }

  #send(state: string): void {
    this.#inOrder(() => sendState(state));
  }

  /** In order, and never waited for: what systemd thinks of us is no reason to stop working. */
  #tell(notification: { ready?: boolean; status?: string }): void {
    this.#inOrder(() => notifySystemd(notification));
  }

  #inOrder(tell: () => Promise<void>): void {
    if (!this.#systemd) return;
    this.#told = this.#told
      .then(tell)
      .catch((error: unknown) => this.#log.warn({ reason: reasonOf(error) }, "systemd could not be told"));
  }
}
