/** Asks the controllers for a task, by priority, and checks what they answer. */
import { Failure, reasonOf } from "../../os/failure.ts";
import { packageVersion } from "../../os/files/package.ts";
import type { Log } from "../../os/log.ts";
import { withoutSecrets } from "../../os/network/url.ts";
import { maskCredentials } from "../../os/text/credentials.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { ManifestError } from "../../manifests/error.ts";
import { isLocalRepository } from "../../manifests/task.ts";
import { formatTaskRequest, type TaskRequest } from "../../manifests/task-request.ts";
import { parseTaskResponse, type TaskResponse } from "../../manifests/task-response.ts";
import type { Task } from "../../manifests/task.ts";
import { Backoff } from "../../os/backoff.ts";
import { Grace } from "../wire/grace.ts";
import type { WakeUps } from "./wake-ups.ts";
import { Unreachable, type Answer } from "../wire/answers.ts";
import type { HttpClient } from "../wire/http.ts";
import type { AgentMetrics } from "../status/metrics.ts";
import { auxiliaryMaximum } from "../settings/auxiliary.ts";
import type { ControllerSetting } from "../settings/settings.ts";
import type { ReceivedTask } from "../task-state/received-task.ts";
import type { Signer } from "../wire/signing.ts";

/** A task request is made while holding locks: a controller must not be able to hold up the host. */
const requestMaxSeconds = 60;
/** Of what an agent has for its end, 10 seconds are for reporting. */
const stopGraceSeconds = 3;
/** Machines are locked meanwhile, and the next rounds are retries, too. */
const requestMaxRetries = 1;
const maxPauseSeconds = 600;
/** What controllers of croft may expect of this agent, besides a proof of who it is. */
const abilities = ["alive", "wake", "timeout"];

/** What else keeps a task from being accepted, and what is done then. */
export interface Refusals {
  /** Why this host cannot do what a task asks for; undefined if it can. */
  reasonFor?: (task: Task) => string | undefined;
  /** Tells the controller: it would wait for the end of the task's lease otherwise. */
  answer?: (received: ReceivedTask, refusal: Refusal) => Promise<void>;
}

/** Why a task is not accepted. */
export interface Refusal {
  reason: string;
  /** Whether it is to be given to another host, which may well do it: its controller is croft's, and knows what that means. */
  goesElsewhere: boolean;
}

/** A task request cannot be signed, by a card that was taken out for instance. */
class Unsigned extends Failure {
  override readonly name = "Unsigned";

  constructor(url: string, cause: Failure) {
    super(`sign the task request to ${withoutSecrets(url)}`, cause.message, { cause });
  }
}

export class Polling {
  readonly #controllers: readonly ControllerSetting[];
  readonly #client: Pick<HttpClient, "postManifest">;
  readonly #log: Log;
  readonly #metrics: Pick<AgentMetrics, "pollAnswered" | "pollFailed"> | undefined;
  readonly #random: () => number;
  readonly #signer: Signer | undefined;
  readonly #takesSecrets: boolean;
  readonly #timeoutSeconds: number;
  readonly #retries: number;
  readonly #backoff: Backoff<string>;
  readonly #wakeUps: Pick<WakeUps, "asked" | "told"> | undefined;
  readonly #now: () => number;
  /** Names already mentioned in the log as unknown: newer controllers send them in every answer. */
  readonly #unknown = new Set<string>();

  constructor(parts: {
    controllers: readonly ControllerSetting[];
    client: Pick<HttpClient, "postManifest">;
    /** Absent without a key. */
    signer: Signer | undefined;
    /** False if its machines have another worker than croft's, which would not look for any. */
    takesSecrets?: boolean;
    requestTimeoutSeconds: number;
    requestRetries: number;
    log: Log;
    metrics?: Pick<AgentMetrics, "pollAnswered" | "pollFailed">;
    wakeUps?: Pick<WakeUps, "asked" | "told">;
    random?: () => number;
    /** Milliseconds of a clock that never goes back. */
    now?: () => number;
  }) {
    this.#controllers = parts.controllers;
    this.#client = parts.client;
    this.#signer = parts.signer;
    this.#takesSecrets = parts.takesSecrets ?? true;
    this.#timeoutSeconds = parts.requestTimeoutSeconds;
    this.#retries = parts.requestRetries;
    this.#log = parts.log;
    this.#metrics = parts.metrics;
    this.#wakeUps = parts.wakeUps;
    this.#random = parts.random ?? Math.random;
    this.#now = parts.now ?? (() => performance.now());
    this.#backoff = new Backoff(maxPauseSeconds, this.#now, 1, this.#random);
  }

  /** After so many seconds a controller that is left alone for now is asked again; infinite if there is none. */
  get retrySeconds(): number {
    const left = this.#controllers.map(({ url }) => this.#backoff.remainingSeconds(url));
    return Math.min(...left.filter((seconds) => seconds > 0));
  }

  /**
   * Asks one controller after another until one has a task: the highest priority first, equal ones in random order.
   * One that could not be reached is left alone for a growing while: seconds at first if it refused at once, minutes
   * if it kept this host waiting, as its machines are locked meanwhile. What is wrong with an answer is logged, and
   * the next controller is asked.
   *
   * When the signal comes, the controller that is being asked has {@link stopGraceSeconds} left: it may have written a
   * task out already, which has to be reported as interrupted then, or it would wait for the end of its lease.
   *
   * A task that is refused, with the reason in the log, is answered, and its controller left alone for a while.
   *
   * @param requestTo what is offered to a controller; undefined: it is not asked.
   * @throws the signal's reason if there is no task by then.
   */
  async ask(
    requestTo: (controller: ControllerSetting) => TaskRequest | undefined,
    signal: AbortSignal,
    refusals: Refusals = {},
  ): Promise<ReceivedTask | undefined> {
    using grace = new Grace(signal, stopGraceSeconds);
    for (const controller of this.#order()) {
      signal.throwIfAborted();
      if (this.#backoff.remainingSeconds(controller.url) > 0) continue;
      const request = requestTo(controller);
      if (request === undefined) continue;
      const log = this.#log.child({ url: controller.url });
      const askedAt = this.#now();
      try {
        this.#wakeUps?.asked(controller.url);
        const answer = await this.#post(controller.url, formatTaskRequest(request), grace.signal);
        const received = await this.#accept(controller, answer, request, refusals, grace.signal);
        this.#backoff.succeeded(controller.url);
        this.#metrics?.pollAnswered(controller.url);
        if (received) return received;
        log.debug("no task");
        const wakeUrl = webUrl(answer.headers["croft-wake-url"]);
        if (wakeUrl !== undefined) this.#wakeUps?.told(controller.url, wakeUrl);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof Unreachable) this.#skip(controller, error, (this.#now() - askedAt) / 1000, log);
        else if (error instanceof ManifestError || error instanceof Failure) {
          this.#metrics?.pollFailed(controller.url, reasonOf(error));
          const what = error instanceof Unsigned ? "task request not sent" : "task response refused";
          log.error({ reason: reasonOf(error) }, what);
        } else throw error;
      }
    }
    return undefined;
  }

  /** @throws {Unsigned} if the request cannot be signed; it is not sent then: a task could not be answered for. */
  #post(url: string, manifest: Uint8Array, signal: AbortSignal): Promise<Answer> {
    const limits = {
      timeoutSeconds: Math.min(requestMaxSeconds, this.#timeoutSeconds),
      retries: Math.min(requestMaxRetries, this.#retries),
      signal,
    };
    const signer = this.#signer;
    return this.#client.postManifest(url, manifest, limits, async (target) => {
      // Another worker than ours knows of no variables, and gets no working trees.
      const able = [
        `${packageVersion}; ${abilities.join(", ")}`,
        ...(this.#takesSecrets ? ["variables", "trees"] : []),
      ].join(", ");
      if (!signer) return { "croft-agent": able };
      try {
        const proof = await signer.prove({ method: "POST", url: target, body: manifest }, signal);
        const proven = `${able}, proof${this.#takesSecrets ? ", secrets" : ""}`;
        return { "croft-agent": proven, "croft-proof": proof };
      } catch (error) {
        throw error instanceof Failure ? new Unsigned(url, error) : error;
      }
    });
  }

  #order(): ControllerSetting[] {
    return this.#controllers
      .map((controller) => ({ controller, order: controller.priority % 10000, tie: this.#random() }))
      .sort((a, b) => b.order - a.order || a.tie - b.tie)
      .map(({ controller }) => controller);
  }

  #skip(controller: ControllerSetting, error: Failure, costSeconds: number, log: Log): void {
    const pauseSeconds = this.#backoff.failed(controller.url, costSeconds);
    this.#metrics?.pollFailed(controller.url, reasonOf(error), pauseSeconds);
    const until = new Date(Date.now() + pauseSeconds * 1000).toISOString();
    log.warn({ reason: reasonOf(error), until }, "controller skipped for a while");
  }

  /** @throws {ManifestError} or {@link Failure} saying why the answer is not acceptable. */
  async #accept(
    controller: ControllerSetting,
    answer: Answer,
    request: TaskRequest,
    refusals: Refusals,
    signal: AbortSignal,
  ): Promise<ReceivedTask | undefined> {
    const response = parseTaskResponse(answer.body, {
      lenient: true,
      source: withoutSecrets(controller.url),
      onUnknown: (name) => {
        if (!this.#unknown.has(name))
          this.#log.trace({ name, url: controller.url }, "unknown name in a task response");
        this.#unknown.add(name);
      },
    });
    if (response.session === "" || response.task === undefined) return undefined;
    const { task, challenge } = response;
    // Signed now: a challenge that cannot be answered is a reason to refuse the task, and not to lose its result.
    const signature = challenge === undefined ? undefined : await this.#signer?.sign(challenge, signal);
    const { headers } = answer;
    const everywhere = refusalEverywhere(response, task);
    const reason = everywhere ?? refusalHere(response, task, request) ?? refusals.reasonFor?.(task);
    if (reason !== undefined) {
      const received = withoutUndefined({ controller, response, task, answer: signature });
      const answerable = challenge === undefined || signature !== undefined;
      const isOurs = headers["croft-alive-url"] !== undefined;
      if (answerable && response.resultUrl !== undefined && isWebUrl(response.resultUrl))
        await refusals.answer?.(received, { reason, goesElsewhere: isOurs && everywhere === undefined });
      this.#backoff.failed(controller.url);
      throw new Failure(`accept a task of ${withoutSecrets(controller.url)}`, reason);
    }
    return withoutUndefined({
      controller,
      response,
      task,
      answer: signature,
      timeoutSeconds: positiveInteger(headers["croft-timeout"]),
      mayHold: headers["croft-suspend"] === "no" ? (false as const) : undefined,
      isTrusted: headers["croft-trust"] === "yes" ? (true as const) : undefined,
      uploadForm: headers["croft-upload"] === "files" ? ("files" as const) : ("archives" as const),
      logUrl: webUrl(headers["croft-log-url"]),
      aliveUrl: webUrl(headers["croft-alive-url"]),
      secretsUrl: webUrl(headers["croft-secrets-url"]),
      treeUrl: webUrl(headers["croft-tree-url"]),
    });
  }
}

/** Why no host of croft's does a task. */
function refusalEverywhere(response: TaskResponse, task: Task): string | undefined {
  if (isLocalRepository(task)) return `its repository '${maskCredentials(task.repositoryUrl)}' is local`;
  for (const url of [response.resultUrl, ...Object.values(response.uploadUrls)])
    if (url !== undefined && !isWebUrl(url)) return `'${url}' is no http or https URL`;
  return undefined;
}

/** Why this one does not, though another may. */
function refusalHere(response: TaskResponse, task: Task, request: TaskRequest): string | undefined {
  const auxiliary = Object.values(task.auxiliaryMachines);
  if (auxiliary.length > auxiliaryMaximum)
    return `it needs ${auxiliary.length} auxiliary machines, and ${auxiliaryMaximum} is the most`;
  const serving = request.machines.filter(({ role }) => role === "auxiliary").map(({ name }) => name);
  const lacking = auxiliary.filter((name) => !serving.includes(name));
  if (lacking.length > 0)
    return serving.length === 0
      ? `it needs auxiliary machines (${auxiliary.join(", ")}), and there are none`
      : `it needs auxiliary machines that were not offered (${lacking.join(", ")})`;
  if (Object.keys(task.auxiliaryEnvironments).length > 0)
    return "it has an environment for auxiliary machines, and these have not been started";
  if (response.challenge !== undefined && request.fingerprint === undefined)
    return "it has a challenge, but there is no key (--auth-key)";
  const mode = request.interactiveMode ?? "false";
  if (task.interactive !== undefined && mode === "false") return "it is interactive";
  if (task.interactive === undefined && mode === "true") return "it is not interactive";
  if (!request.machines.some(({ name, role }) => name === task.machine && role !== "auxiliary"))
    return `its machine '${task.machine}' was not offered`;
  return undefined;
}

function positiveInteger(text: string | readonly string[] | undefined): number | undefined {
  return typeof text === "string" && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
}

function webUrl(header: string | string[] | undefined): string | undefined {
  return typeof header === "string" && isWebUrl(header) ? header : undefined;
}

function isWebUrl(text: string): boolean {
  return ["http:", "https:"].includes(URL.parse(text)?.protocol ?? "");
}
