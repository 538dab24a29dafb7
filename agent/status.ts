import type { Log } from "../host/log.ts";
import { reasonOf } from "../host/failure.ts";
import { notifySystemd } from "../host/systemd.ts";

/** What the agent is doing now, in one line; shown by systemd. */
export class Status {
  readonly #log: Log;
  readonly #systemd: boolean;
  #ready = false;
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

  /** In order, and never waited for: what systemd thinks of us is no reason to stop working. */
  #tell(notification: { ready?: boolean; status?: string }): void {
    if (!this.#systemd) return;
    this.#told = this.#told
      .then(() => notifySystemd(notification))
      .catch((error: unknown) => this.#log.warn({ reason: reasonOf(error) }, "systemd could not be told"));
  }
}
