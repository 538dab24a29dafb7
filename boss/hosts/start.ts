/**
 * Starting a worker on a host, in four phases: prepare the work directory, push the commits, start the worker, configure
 * it. Hosts go through them independently of each other, all at once; one that fails is left out, and its lock is free
 * as soon as its connection is closed.
 */
import { Deadline } from "../../os/deadline.ts";
import { Failure } from "../../os/failure.ts";
import type { SourceRepository } from "../matrix/git.ts";
import type { Outgoing } from "../matrix/what-hosts-get.ts";
import type { Response } from "../../worker/protocol.ts";
import type { Host } from "./hosts.ts";
import { provideWorker } from "./provide-worker.ts";
import { push } from "./push.ts";
import { checkoutScript, execScript, prepareScript } from "./scripts.ts";
import { compilersFor } from "./known-toolchains.ts";
import { readToolchains, toolchainScript } from "./toolchains.ts";
import { readVersions, type Compilers } from "./compilers.ts";
import { strainOf, tooBusy, type HostState } from "./strain.ts";
import { HostConnection, type WorkerListener } from "./connection.ts";
import { quote } from "../../os/text/shell-word.ts";
import type { SshSettings } from "./ssh.ts";
import { hostArchitecture } from "../matrix/matrix.ts";
import { TrafficLog } from "./traffic-log.ts";

export interface StartSettings {
  ssh: SshSettings;
  repository: SourceRepository;
  /** What is pushed. */
  outgoing: Outgoing;
  /** Architecture to compiler. */
  toolchains: Readonly<Record<string, string>>;
  /** Of the targets: whose compilers are asked for their versions. */
  architectures: ReadonlySet<string>;
  /** In per cent of a host's threads: one with more gets no work; undefined: whatever it is. */
  mostLoadPercent: number | undefined;
  /** Sent as they are. */
  settings: Readonly<Record<string, unknown>>;
  /** Instead of the worker that comes along. */
  workerCommand: string | undefined;
  /** Where the traffic with the workers is recorded. */
  logDirectory: string;
  /** For each wait that no build is part of. */
  answerTimeoutSeconds: number;
  pushTimeoutSeconds: number;
  /** Standard error of workers. */
  onComplaint: (host: Host, line: string) => void;
  signal: AbortSignal;
}

/** Another boss has the work directory. */
export class BusyFailure extends Failure {
  constructor(host: Host, pid: string) {
    super(
      `use host ${host.name}`,
      `another boss is using '${host.workDirectory}' there${pid ? ` (process ${pid})` : ""}`,
    );
  }
}

/** What a run needs of the connection to a worker. */
export type WorkerConnection = Pick<
  HostConnection,
  "send" | "drop" | "closed" | "lastComplaint" | "bytesSent" | "bytesReceived"
>;

/** A configured worker that waits for work. */
export interface StartedWorker {
  host: Host;
  connection: WorkerConnection;
  /** Of its process there, if that is known. */
  pid?: number;
  threads: number;
  /** It says every few seconds what it is building. */
  beats?: boolean;
  /** Threads times BogoMIPS. */
  capacity: number;
  architectures: Set<string>;
  /** Of the architectures that are to be built. */
  compilers?: Compilers;
  /** What it is short of. */
  strain?: string | undefined;
  /** Tells where messages go from now on; those that came meanwhile are told at once. */
  listen(listener: WorkerListener): void;
}

interface Prepared {
  /** Of the connection's shell, and later the worker. */
  pid: number;
  threads: number;
  bogomips: number;
  workDirectory: string;
  state: HostState;
}

/**
 * Starts a worker.
 *
 * @param replaced process of a worker there that was given up.
 * @throws {BusyFailure}, {Failure} saying which phase failed and why; the signal's reason if aborted.
 */
export async function startWorker(
  host: Host,
  settings: StartSettings,
  replaced?: number,
): Promise<StartedWorker> {
  await using stack = new AsyncDisposableStack();
  const log = stack.use(new TrafficLog(settings.logDirectory, host.name));
  const connection = stack.use(new HostConnection(host, settings.ssh, log));
  void connection.closed.then(() => log[Symbol.dispose]());
  const prepared = await prepare(connection, settings, replaced);
  const { mostLoadPercent: most } = settings;
  const busy = most === undefined ? undefined : tooBusy(prepared.state, most);
  if (busy !== undefined) throw new Failure(`use host ${host.name}`, busy);
  // What is there is looked at while commits travel; they are checked out when the host's shell is free again.
  const [{ toolchains, compilers, command }] = await Promise.all([
    lookAround(connection, prepared.workDirectory, settings),
    push(connection.host, prepared.workDirectory, settings),
  ]);
  await checkOut(connection, settings);
  const worker = await launchWorker(connection, command, toolchains, settings);
  stack.move();
  const beats = settings.workerCommand === undefined;
  const capacity = worker.threads * (prepared.bogomips || 1);
  const strain = strainOf(prepared.state);
  return { ...worker, beats, pid: prepared.pid, capacity, compilers, strain };
}

/** What the last two phases need to know. */
export type LaunchSettings = Pick<
  StartSettings,
  "settings" | "answerTimeoutSeconds" | "onComplaint" | "signal"
>;

/**
 * The last two phases: starts the worker in a connection, and configures it.
 *
 * @param command of the shell there.
 * @param toolchains that are there.
 * @throws {Failure} if it does not answer as it should.
 */
export async function launchWorker(
  connection: HostConnection,
  command: string,
  toolchains: Readonly<Record<string, string>>,
  settings: LaunchSettings,
): Promise<StartedWorker> {
  const { host } = connection;
  const inbox = new Inbox((line) => settings.onComplaint(host, line));
  connection.becomeWorker(execScript(command), inbox);
  const { nthreads: threads } = await inbox.next("ready", connection, settings);
  connection.send({ cmd: "configure", settings: settings.settings, toolchains });
  await inbox.next("configure_done", connection, settings);
  return {
    host,
    connection,
    threads,
    capacity: threads,
    architectures: new Set([hostArchitecture, ...Object.keys(toolchains)]),
    listen: (listener) => inbox.listen(listener),
  };
}

async function prepare(
  connection: HostConnection,
  settings: StartSettings,
  replaced?: number,
): Promise<Prepared> {
  const { host } = connection;
  const [answer = ""] = await connection.evaluate(
    prepareScript(host.workDirectory, replaced, settings.repository),
    settings.ssh.connectTimeoutSeconds + settings.answerTimeoutSeconds,
    settings.signal,
  );
  const [kind, ...rest] = answer.split(" ");
  if (kind === "busy") throw new BusyFailure(host, rest.join(" "));
  if (kind !== "prepared")
    throw new Failure(`prepare host ${host.name}`, rest.join(" ") || "no sensible answer");
  const [pid, threads, bogomips, load, memory, disk, ...path] = rest;
  const mebibytes = (text: string | undefined) => Math.floor((Number(text) || 0) / 1024);
  const state = { threads: Number(threads), load: Number(load) || 0 };
  return {
    pid: Number(pid),
    threads: Number(threads),
    bogomips: Number(bogomips) || 0,
    workDirectory: path.join(" "),
    state: { ...state, freeMemoryMiB: mebibytes(memory), freeDiskMiB: mebibytes(disk) },
  };
}

async function checkOut(connection: HostConnection, settings: StartSettings): Promise<void> {
  const [answer = ""] = await connection.evaluate(
    checkoutScript(settings.outgoing.refspecs.length > 0),
    settings.pushTimeoutSeconds,
    settings.signal,
  );
  if (answer !== "done")
    throw new Failure(
      `check out the commits on host ${connection.host.name}`,
      answer.replace(/^failed /, ""),
    );
}

/**
 * Which compilers are there, and how the worker is started. Only compilers that are there are sent: of an architecture the
 * configured one, else one with a usual name.
 */
async function lookAround(connection: HostConnection, workDirectory: string, settings: StartSettings) {
  const { toolchains: configured, architectures, answerTimeoutSeconds, signal, workerCommand } = settings;
  const script = toolchainScript(compilersFor(configured), architectures);
  const answers = await connection.evaluate(script, answerTimeoutSeconds, signal);
  const [toolchains, compilers] = [readToolchains(answers), readVersions(answers)];
  const command =
    workerCommand === undefined
      ? await provideWorker(connection, workDirectory, settings)
      : `sh -c ${quote(workerCommand)}`; // it may be more than one program with its arguments
  return { toolchains, compilers, command };
}

/** Messages of a worker that nobody has asked anything yet. */
const mostWaiting = 1000;

/** Keeps what a worker says until somebody listens. */
class Inbox implements WorkerListener {
  readonly #onComplaint: (line: string) => void;
  #waiting: (Response | { broken: string })[] = [];
  #listener: WorkerListener | undefined;
  #onMessage: (() => void) | undefined;

  constructor(complaint: (line: string) => void) {
    this.#onComplaint = complaint;
  }

  complaint(line: string): void {
    this.#onComplaint(line);
    this.#listener?.complaint(line);
  }

  message(message: Response): void {
    if (this.#listener) return this.#listener.message(message);
    if (this.#waiting.length > mostWaiting) return; // said already
    const tooMany = { broken: `it sends more than ${mostWaiting} messages that nobody has asked for` };
    this.#waiting.push(this.#waiting.length === mostWaiting ? tooMany : message);
    this.#onMessage?.();
  }

  alive(): void {
    this.#listener?.alive();
  }

  broken(reason: string): void {
    if (this.#listener) return this.#listener.broken(reason);
    this.#waiting.push({ broken: reason });
    this.#onMessage?.();
  }

  listen(listener: WorkerListener): void {
    this.#listener = listener;
    for (const each of this.#waiting.splice(0))
      if ("broken" in each) listener.broken(each.broken);
      else listener.message(each);
  }

  /** Waits for an answer; others that come before it mean nothing yet. */
  async next<Kind extends Response["resp"]>(
    kind: Kind,
    connection: HostConnection,
    { answerTimeoutSeconds, signal }: LaunchSettings,
  ): Promise<Extract<Response, { resp: Kind }>> {
    const fail = (reason: string) => new Failure(`start the worker on host ${connection.host.name}`, reason);
    using deadline = new Deadline(answerTimeoutSeconds, signal);
    try {
      for (;;) {
        const message = this.#waiting.shift();
        if (message && "broken" in message) throw fail(message.broken);
        if (message?.resp === "error") throw fail(message.msg);
        if (message?.resp === kind) return message as Extract<Response, { resp: Kind }>;
        if (message) continue;
        const arrived = new Promise<void>((resolve) => (this.#onMessage = resolve));
        const outcome = await Promise.race([arrived, connection.closed, deadline.passed]);
        signal.throwIfAborted();
        if (this.#waiting.length > 0) continue;
        if (outcome === "late") throw fail(`no '${kind}' within ${answerTimeoutSeconds} s`);
        throw fail(String(outcome));
      }
    } finally {
      this.#onMessage = undefined;
    }
  }
}
