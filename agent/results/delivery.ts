/**
 * Brings spooled results to their controllers: artifacts first, then the result itself.
 *
 * Whatever no controller has decided is tried again: with growing pauses, an own one for each entry, for 7 days of
 * trying. An entry leaves the spool when its controller has accepted its result, or for `rejected/` when that refused it
 * for good (answers.ts says what that is) or did not take it in time.
 */
import { setImmediate } from "node:timers/promises";
import { assertFailure, Failure, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { Backoff } from "../../os/backoff.ts";
import { Rejection, Unreachable } from "../wire/answers.ts";
import type { HttpClient, RequestLimits } from "../wire/http.ts";
import type { AgentMetrics } from "../status/metrics.ts";
import type { SignsOfLife } from "../task-state/signs-of-life.ts";
import { postResult } from "./post-result.ts";
import { countArtifacts, sendArtifacts } from "./send-artifacts.ts";
import type { Spool, SpoolEntry } from "../task-state/spool.ts";
import { withChange } from "./changed-request.ts";
import { Tried } from "./tried.ts";

/** A result that its controller does not take for so long is kept aside. */
const keepTryingSeconds = 7 * 24 * 3600;
/** So long a refused key may be one that is being exchanged, and artifacts hold back their result. */
const streakSeconds = 3600;
const maxPauseSeconds = 600;
/** A result that was not delivered at once is tried again in passing: tasks wait meanwhile. */
const againLimits = { timeoutSeconds: 60, retries: 0 };

interface DeliveryParts {
  client: HttpClient;
  spool: Spool;
  log: Log;
  /** Is shown what is on its way. */
  signs: Pick<SignsOfLife, "show" | "end">;
  metrics?: AgentMetrics;
  /** Milliseconds of a clock that never goes back. */
  now?: () => number;
}

export class Delivery {
  readonly #client: HttpClient;
  readonly #spool: Spool;
  readonly #log: Log;
  readonly #signs: DeliveryParts["signs"];
  readonly #metrics: AgentMetrics | undefined;
  readonly #now: () => number;
  /** By name of the entry: what keeps one from getting through need not keep the others. */
  readonly #backoff: Backoff<string>;
  readonly #tried = new Map<string, Tried>();

  constructor({ client, spool, log, signs, metrics, now = () => performance.now() }: DeliveryParts) {
    this.#client = client;
    this.#spool = spool;
    this.#log = log;
    this.#signs = signs;
    this.#metrics = metrics;
    this.#now = now;
    this.#backoff = new Backoff(maxPauseSeconds, now, 1, Math.random);
  }

  /**
   * Sends every decided result whose pause is over. Whatever fails is logged, and tried again later; of a controller
   * that did not answer at all, nothing else is tried this time.
   *
   * @param onSend called before each.
   */
  async sendDue(signal: AbortSignal, onSend: () => void = () => {}): Promise<void> {
    const silent = new Set<string>();
    for (const entry of await this.#spool.entries()) {
      if (signal.aborted) return;
      try {
        if (this.#backoff.remainingSeconds(entry.name) > 0 || silent.has(controllerOf(entry))) continue;
        if (!(await entry.isDecided())) continue;
        onSend();
        const error = await this.#trySend(entry, { ...againLimits, signal });
        if (error instanceof Unreachable && error.isSilent) silent.add(controllerOf(entry));
      } catch (error) {
        await this.#failed(entry, error);
      }
    }
  }

  /** Sends one result now; it stays in the spool if that does not work out, and is kept aside if it is refused. */
  async send(entry: SpoolEntry, limits: RequestLimits): Promise<void> {
    await this.#trySend(entry, limits);
  }

  /** @returns why it stays in the spool. */
  async #trySend(entry: SpoolEntry, limits: RequestLimits): Promise<unknown> {
    const { session, resultUrl: url } = entry.assignment;
    const log = this.#log.child({ session, url });
    this.#signs.show(entry.assignment, "delivering");
    try {
      if (url !== undefined) {
        const request = await this.#requestAfterArtifacts(entry, log, limits);
        const sent = await entry.sentArtifacts();
        // A controller whose data are those of a backup may have lost some.
        const headers: Record<string, string> = sent > 0 ? { "croft-artifacts": String(sent) } : {};
        await postResult({ url, request, headers }, { client: this.#client, log, limits });
      }
      await entry.remove();
      this.#forget(entry);
      if (url === undefined) return undefined;
      this.#metrics?.delivered("accepted");
      log.info("result accepted");
      return undefined;
    } catch (error) {
      if (limits.signal?.aborted) return undefined;
      if (error instanceof Rejection && isUnwanted(error)) return await this.#drop(entry, error, log);
      if (error instanceof Rejection && (await this.#isFinal(entry, error)))
        return await this.#refused(entry, error);
      await this.#failed(entry, error);
      return error;
    }
  }

  /**
   * Sends the artifacts.
   *
   * @returns the result request; it says what is missing if they have not got through for an hour.
   * @throws {Failure} if they did not get through, and the result waits for them.
   */
  async #requestAfterArtifacts(entry: SpoolEntry, log: Log, limits: RequestLimits): Promise<Uint8Array> {
    try {
      await sendArtifacts(entry, { client: this.#client, log, limits });
      return (await entry.result())!;
    } catch (error) {
      limits.signal?.throwIfAborted();
      assertFailure(error);
      const tried = await this.#triedOf(entry);
      tried.streak("artifacts");
      if (!tried.streakForSeconds("artifacts", streakSeconds)) throw new ArtifactsWait(error);
      log.error({ reason: error.message }, "artifacts have not got through for an hour: result sent without");
      const lost = `${await countArtifacts(entry)} artifacts could not be sent for an hour: ${error.message}\n`;
      return await withChange({ request: (await entry.result())!, log: lost, status: "abort" });
    }
  }

  /**
   * Sends a result for which there is no room in the spool; once, since nothing is kept to send again.
   *
   * @param pieces text of the result request.
   */
  async sendUnspooled(url: string, pieces: Iterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    try {
      const request: Uint8Array[] = [];
      for (const piece of pieces) {
        request.push(piece);
        await setImmediate();
      }
      await this.#client.postManifest(url, Buffer.concat(request), { signal });
    } catch (error) {
      this.#log.error(
        { url, reason: reasonOf(error) },
        "result not delivered, and there is no spool to keep it in",
      );
    }
  }

  /** A controller that does not know the key may be about to. */
  async #isFinal(entry: SpoolEntry, refusal: Rejection): Promise<boolean> {
    if (!refusal.isOfKey) return true;
    const tried = await this.#triedOf(entry);
    tried.streak("key");
    return tried.streakForSeconds("key", streakSeconds);
  }

  /** There is nothing for an operator to look at: the build was cancelled, or has another agent's result. */
  async #drop(entry: SpoolEntry, refusal: Rejection, log: Log): Promise<unknown> {
    try {
      await entry.remove();
    } catch (error) {
      await this.#failed(entry, error);
      return error;
    }
    this.#forget(entry);
    log.info({ state: refusal.headers["croft-session"] }, "result given up: nobody waits for it any more");
    return undefined;
  }

  async #refused(entry: SpoolEntry, refusal: Rejection): Promise<unknown> {
    try {
      await this.#keepAside(entry, reasonOf(refusal), `${refusal.status}\n${refusal.answer}\n`);
      return undefined;
    } catch (error) {
      await this.#failed(entry, error);
      return error;
    }
  }

  async #keepAside(entry: SpoolEntry, reason: string, answer = `${reason}\n`): Promise<void> {
    const { session, resultUrl: url } = entry.assignment;
    const hint = `croft agent rejected show ${entry.name}`;
    this.#log.error({ session, url, reason, hint }, "result kept aside, under rejected/ in the spool");
    await entry.reject(answer);
    this.#forget(entry);
    this.#metrics?.delivered("rejected");
    for (const name of await this.#spool.boundRejected())
      this.#log.error({ entry: name }, "oldest rejected result removed: there are too many");
  }

  /** @throws what is a bug. */
  async #failed(entry: SpoolEntry, error: unknown): Promise<void> {
    assertFailure(error);
    const tried = await this.#triedOf(entry);
    await tried.failed();
    if (tried.forSeconds(keepTryingSeconds)) return await this.#giveUp(entry, error);
    const { session, resultUrl: url } = entry.assignment;
    const pauseSeconds = Math.round(this.#backoff.failed(entry.name) * 10) / 10;
    this.#metrics?.delivered("failed");
    this.#log.warn(
      { session, url, reason: error.message, pauseSeconds },
      "result not delivered, it stays in the spool",
    );
  }

  async #giveUp(entry: SpoolEntry, error: Failure): Promise<void> {
    try {
      await this.#keepAside(entry, `not accepted for 7 days; the last time: ${error.message}`);
    } catch (failure) {
      assertFailure(failure);
      this.#backoff.failed(entry.name);
      this.#log.warn({ reason: failure.message }, "result cannot be kept aside");
    }
  }

  async #triedOf({ name, directory }: SpoolEntry): Promise<Tried> {
    let tried = this.#tried.get(name);
    if (!tried) {
      tried = await Tried.of(directory, this.#now);
      this.#tried.set(name, tried);
    }
    return tried;
  }

  #forget({ name, assignment }: SpoolEntry): void {
    this.#signs.end(assignment.session);
    this.#tried.delete(name);
    this.#backoff.succeeded(name);
  }
}

/** Artifacts that may get through another time, so that their result waits; never a refusal of the result. */
class ArtifactsWait extends Unreachable {
  constructor(cause: Failure) {
    super("send the artifacts", cause.message, {
      cause,
      isSilent: cause instanceof Unreachable && cause.isSilent,
    });
  }
}

/** A controller of croft says why it does not want a result; one that it does not know of is another thing. */
function isUnwanted({ status, headers }: Rejection): boolean {
  return status === 410 && ["cancelled", "superseded"].includes(String(headers["croft-session"]));
}

function controllerOf({ assignment: { resultUrl } }: SpoolEntry): string {
  return resultUrl === undefined ? "" : new URL(resultUrl).origin;
}
