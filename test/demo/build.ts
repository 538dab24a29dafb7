/** One build in the demo's farm: submitted, its log followed, its result shown. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { Failure } from "../../os/failure.ts";
import { killGroup } from "../../os/run.ts";
import type { Progress } from "../setup/steps.js";
import type { Screen } from "./screen.ts";
import { croftCommand, followLines, type Service } from "./service.ts";
import type { Source } from "./source.ts";

/** What `GET /api/v1/builds/ID` answers, as far as it is shown. */
interface Answer {
  id: number;
  url: string;
  status: string | null;
  state: string;
  buildSeconds: number | null;
  operations: { name: string; status: string; warnings: number; errors: number }[];
  artifacts: { name: string; sha256: string; bytes: number; url: string }[];
}

/** How it went. */
export interface Built {
  id: number;
  succeeded: boolean;
  /** Seconds of each operation, as the machine told them in its log. */
  seconds: Map<string, string>;
}

/**
 * Submits a build with `croft submit`, and passes its log to the screen until it has ended.
 *
 * @param pushed a build that a push has started: its log is followed.
 */
export async function build(
  controller: string,
  source: Source,
  pushed: number | undefined,
  farm: { controller: Service; agent: Service },
  screen: Screen,
  signal: AbortSignal,
): Promise<Built> {
  const done = new AbortController();
  const stop = AbortSignal.any([signal, done.signal]);
  const built: Built = { id: pushed ?? 0, succeeded: false, seconds: new Map() };
  const words = pushed === undefined ? submission(source) : ["log", String(pushed), "--follow"];
  await screen.during("waiting for the agent", async (show) => {
    const watching = watchAgent(farm.agent.log, screen, show, stop);
    try {
      built.succeeded = await follow([...words, "--controller", controller], farm, stop, (text) => {
        screen.pass(text);
        for (const line of text.split("\n")) note(line, built);
      });
    } finally {
      done.abort();
      await watching;
    }
  });
  signal.throwIfAborted();
  return built;
}

function note(line: string, built: Built): void {
  const submitted = /^build (\d+), /.exec(line);
  if (submitted && built.id === 0) built.id = Number(submitted[1]);
  const ended = /^==> (\S+): \S+ \((\d+) s\)/.exec(line);
  if (ended) built.seconds.set(ended[1]!, `${ended[2]} s`);
}

function submission({ name, version, repository }: Source): string[] {
  return [
    ...["submit", "--name", name, "--version", version],
    ...["--repository", repository, "--force", "--follow"],
  ];
}

/** Runs a command that follows a build to its end. @returns whether the build succeeded. */
async function follow(
  words: readonly string[],
  farm: { controller: Service; agent: Service },
  signal: AbortSignal,
  onText: (text: string) => void,
): Promise<boolean> {
  const [program, ...args] = croftCommand(...words) as [string, ...string[]];
  const child = spawn(program, args, { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  const onAbort = () => killGroup(child.pid, "SIGTERM");
  signal.addEventListener("abort", onAbort, { once: true });
  child.stdout.setEncoding("utf8").on("data", onText);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  try {
    const status = await Promise.race([ended, farm.agent.failed, farm.controller.failed]);
    signal.throwIfAborted();
    // 3: the build ended, and has not succeeded.
    if (status !== 0 && status !== 3)
      throw new Failure("follow the build", `croft ${words[0]} ended with status ${status}`);
    return status === 0;
  } finally {
    killGroup(child.pid, "SIGTERM");
    signal.removeEventListener("abort", onAbort);
  }
}

/** Shows what the agent is doing, and each kind of trouble that it tells of. */
async function watchAgent(log: string, screen: Screen, show: Progress, signal: AbortSignal): Promise<void> {
  const told = new Set<string>();
  for await (const line of followLines(log, signal)) {
    const [, level, text, fields] = /^\[[^\]]*\] ([A-Z]+): (.*?)( \{.*)?$/.exec(line) ?? [];
    if (level === undefined || text === undefined) continue;
    if (level !== "WARN" && level !== "ERROR") show.now(`agent: ${text}`);
    else if (!told.has(text)) screen.line(`agent: ${text}${reasonIn(fields)}`);
    if (level === "WARN" || level === "ERROR") told.add(text);
  }
}

function reasonIn(fields: string | undefined): string {
  const reason = /"reason":("(?:[^"\\]|\\.)*")/.exec(fields ?? "")?.[1];
  return reason === undefined ? "" : ` (${String(JSON.parse(reason))})`;
}

/** Shows the result, and fetches the artifacts into a directory, checked against their digests. */
export async function showResult(
  controller: string,
  { id, seconds }: Built,
  directory: string,
  screen: Screen,
): Promise<void> {
  const response = await fetch(`${controller}/api/v1/builds/${id}`);
  if (!response.ok) throw new Failure(`read build ${id}`, `the controller answers ${response.status}`);
  const answer = (await response.json()) as Answer;
  const notes = ({ warnings, errors }: { warnings: number; errors: number }) =>
    [warnings && `${warnings} warnings`, errors && `${errors} errors`].filter(Boolean).join(", ");
  const whole = answer.buildSeconds === null ? "" : `${Math.round(answer.buildSeconds)} s`;
  screen.table([
    ["OPERATION", "STATUS", "TIME", ""],
    ...answer.operations.map((one) => [one.name, one.status, seconds.get(one.name) ?? "", notes(one)]),
    ["build", answer.status ?? answer.state, whole, ""],
  ]);
  for (const artifact of answer.artifacts) {
    const path = await fetchArtifact(artifact, directory);
    screen.line(
      `  artifact ${artifact.name}, ${artifact.bytes} bytes, fetched to ${relative(process.cwd(), path)}`,
    );
    screen.line(`  SHA-256  ${artifact.sha256}, verified`);
  }
}

async function fetchArtifact(
  { name, url, sha256 }: Answer["artifacts"][number],
  directory: string,
): Promise<string> {
  const response = await fetch(url);
  if (!response.ok)
    throw new Failure(`fetch artifact '${name}'`, `the controller answers ${response.status}`);
  const content = Buffer.from(await response.arrayBuffer());
  const digest = createHash("sha256").update(content).digest("hex");
  if (digest !== sha256)
    throw new Failure(`fetch artifact '${name}'`, `its SHA-256 is ${digest}, not ${sha256}`);
  await mkdir(directory, { recursive: true });
  const path = join(directory, basename(name));
  await writeFile(path, content);
  return path;
}
