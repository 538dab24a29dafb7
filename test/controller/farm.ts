/** A controller as a process of its own, and an agent that speaks to it over HTTP. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { request, type ClientRequest } from "node:http";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { writeFile } from "node:fs/promises";
import { packageFile } from "../../os/files/package.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { formatResultRequest } from "../../manifests/result-request.ts";
import { formatTaskRequest, type TaskRequest } from "../../manifests/task-request.ts";
import { parseTaskResponse, type TaskResponse } from "../../manifests/task-response.ts";
import type { ResultStatus } from "../../manifests/result-status.ts";
import { layDatabase } from "../fixtures/databases.ts";
import { patienceMs } from "../fixtures/patience.ts";

/** A running controller. */
export interface RunningController extends AsyncDisposable {
  readonly url: string;
  readonly process: ChildProcess;
  /** What it logged. */
  log(): string;
  /** Ends it by a signal and waits; its exit status. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** A data directory and configuration that controllers are started on, one after the other. */
export interface Farm extends AsyncDisposable {
  readonly directory: string;
  start(...options: string[]): Promise<RunningController>;
  /** Starts one with further environment variables. */
  startWith(environment: NodeJS.ProcessEnv): Promise<RunningController>;
}

/** Makes a farm; the configuration is YAML. Its database is a copy, unless the controller is to make it. */
export async function makeFarm(configuration = "", { freshDatabase = false } = {}): Promise<Farm> {
  const directory = await temporaryDirectory("croft-test-controller-");
  const file = join(directory.path, "controller.yaml");
  await writeFile(file, configuration);
  const running: RunningController[] = [];
  const start = async (options: readonly string[], environment?: NodeJS.ProcessEnv) => {
    const data = join(directory.path, "data");
    if (!freshDatabase && !/^database:/m.test(configuration)) await layDatabase(data);
    const controller = await startController(["--config", file, "--data", data, ...options], environment);
    running.push(controller);
    return controller;
  };
  return {
    directory: directory.path,
    start: (...options) => start(options),
    startWith: (environment) => start([], environment),
    [Symbol.asyncDispose]: async () => {
      for (const controller of running) await controller[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    },
  };
}

/**
 * Starts `croft controller` on a free port and waits until it is ready; throws what it says if it ends instead.
 *
 * @param program of another version.
 */
export async function startController(
  options: readonly string[],
  environment: NodeJS.ProcessEnv = {},
  program = packageFile("bin", "main.ts"),
): Promise<RunningController> {
  const argv = [program, "controller", "--listen", "127.0.0.1:0", ...options];
  const env = { ...process.env, ...environment };
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "pipe"], env });
  let log = "";
  child.stderr.on("data", (piece: Buffer) => (log += piece.toString()));
  const ended = once(child, "exit") as Promise<[number | null]>;
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return (await ended)[0];
  };
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), "line") as Promise<[string]>,
    ended.then(([status]) => {
      throw new Error(`the controller ended with ${status}: ${log}`);
    }),
    new Promise<never>((_, reject) =>
      setTimeout(() => reject(new Error(`the controller is not ready: ${log}`)), patienceMs).unref(),
    ),
  ]);
  const url = /^croft controller: (https?:\/\/\S+)\/$/.exec(line[0])?.[1];
  if (!url) throw new Error(`unexpected line: ${line[0]}`);
  return {
    url,
    process: child,
    log: () => log,
    end,
    [Symbol.asyncDispose]: async () => void (await end("SIGKILL")),
  };
}

/** A task as an agent received it. */
export interface ReceivedTask extends TaskResponse {
  logUrl: string | null;
}

/** Asks for a task with one machine. */
export async function requestTask(url: string, changes: Partial<TaskRequest> = {}): Promise<ReceivedTask> {
  return await receivedTask(await postTaskRequest(url, changes));
}

/** The task in an answer. */
export async function receivedTask(response: Response): Promise<ReceivedTask> {
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  const parsed = parseTaskResponse(new Uint8Array(await response.arrayBuffer()));
  return { ...parsed, logUrl: response.headers.get("croft-log-url") };
}

/** As {@link requestTask}, but gives the answer whatever it is. */
export async function postTaskRequest(
  url: string,
  changes: Partial<TaskRequest> = {},
  abilities = "",
): Promise<Response> {
  const request: TaskRequest = {
    agent: "host-1",
    toolchainName: "default",
    toolchainVersion: "1.0.0",
    machines: [{ id: "debian_13-1.0", name: "debian_13", summary: "Debian 13" }],
    ...changes,
  };
  const headers = { "content-type": "text/manifest", "croft-agent": `1.0.0${abilities}` };
  const body = new Uint8Array(formatTaskRequest(request));
  return await fetch(`${url}/agent/task`, { method: "POST", headers, body });
}

/** Sends a piece of a live log. */
export async function sendLog(
  task: ReceivedTask,
  offset: number,
  text: string | Uint8Array,
): Promise<Response> {
  return await post(
    `${task.logUrl}?offset=${offset}`,
    Buffer.from(text as string),
    "application/octet-stream",
  );
}

/** Sends a result with the operations given as `[name, status, log]`. */
export async function sendResult(
  task: ReceivedTask,
  status: ResultStatus,
  operations: readonly [string, ResultStatus, string][] = [],
  challenge?: string,
): Promise<Response> {
  const body = formatResultRequest({
    session: task.session,
    ...(challenge === undefined ? {} : { challenge }),
    result: {
      name: task.task?.name ?? "hello",
      version: "1.2.3",
      status,
      operations: operations.map(([name, status, log]) => ({ name, status, log })),
    },
  });
  return await post(task.resultUrl!, body, "text/manifest");
}

/** Posts bytes. */
export async function post(url: string, body: Uint8Array, type: string): Promise<Response> {
  return await fetch(url, { method: "POST", headers: { "content-type": type }, body: new Uint8Array(body) });
}

/** Submits a build of `hello` and gives its number. */
export async function submit(url: string, changes: object = {}): Promise<number> {
  const response = await fetch(`${url}/api/v1/builds`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "hello", repository: "https://example.org/hello.git", ...changes }),
  });
  const answer = (await response.json()) as { builds?: { id: number }[] };
  if (response.status !== 201) throw new Error(`${response.status}: ${JSON.stringify(answer)}`);
  return answer.builds![0]!.id;
}

/** What the interface tells of a build. */
export interface BuildAnswer {
  state: string;
  status: string | null;
  version: string;
  waiting: string | null;
  variables: Record<string, string> | null;
  operations: { name: string; status: string; warnings: number; errors: number; logUrl: string }[];
  attempts: { attempt: number; state: string; status: string | null; agent: string }[];
  artifacts: { name: string; type: string; sha256: string; bytes: number; url: string }[];
}

/** Reads a build. */
export async function readBuild(url: string, id: number): Promise<BuildAnswer> {
  return (await (await fetch(`${url}/api/v1/builds/${id}`)).json()) as BuildAnswer;
}

/** An upload of which the file's content has begun to arrive, and which does not end. */
export function beginUpload(url: string, content: string): ClientRequest {
  const upload = request(url, {
    method: "POST",
    headers: { "content-type": "multipart/form-data; boundary=x" },
  });
  upload.on("error", () => {});
  upload.write(
    `--x\r\ncontent-disposition: form-data; name="sha256"\r\n\r\n${"0".repeat(64)}\r\n` +
      `--x\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n${content}`,
  );
  return upload;
}
