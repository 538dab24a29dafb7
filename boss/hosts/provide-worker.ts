/**
 * Brings croft's own worker to a host, once per version, and a Node.js for it where the host has none that is new
 * enough: the boss's own, if it runs there.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { attempt, Failure, reasonOf } from "../../os/failure.ts";
import { packageRoot } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { shippedWorker, type ShippedWorker } from "../../worker/remote/shipped.ts";
import type { Host } from "./hosts.ts";
import { installProgramCommand, runtimeScript, unpackCommand } from "./scripts.ts";
import type { HostConnection } from "./connection.ts";
import { quote } from "../../os/text/shell-word.ts";
import { quotePath, remoteCommand, type SshSettings } from "./ssh.ts";

const cache = "~/.cache/croft";
const copyTimeoutSeconds = 600;
/** `uname -s`-`uname -m` of the hosts that the boss's own runtime runs on. */
const ownPlatform = `Linux-${{ x64: "x86_64", arm64: "aarch64" }[process.arch as string] ?? process.arch}`;

export interface ProvideSettings {
  ssh: SshSettings;
  answerTimeoutSeconds: number;
  signal: AbortSignal;
}

/**
 * Sees to it that the worker can be started.
 *
 * @returns the command line that starts it there.
 * @throws {Failure} if it cannot be copied, or nothing there can run it.
 */
export async function provideWorker(
  connection: HostConnection,
  workDirectory: string,
  settings: ProvideSettings,
): Promise<string> {
  const { host } = connection;
  const worker = await shippedWorker();
  if (host.destination === undefined)
    return startCommand(quote(process.execPath), quote(join(packageRoot, worker.entry)), workDirectory);
  const directory = `${cache}/worker-${worker.version}`;
  const runtime = `${cache}/node-${process.version}`;
  const script = runtimeScript(directory, runtime);
  const [answer = ""] = await connection.evaluate(script, settings.answerTimeoutSeconds, settings.signal);
  const [, present, platform, found = "none"] = answer.split(" ");
  if (present !== "yes") {
    await using archive = await archiveOf(worker);
    await copy(host, settings, unpackCommand(directory), archive.path, "the worker");
  }
  if (found === "none") {
    if (platform !== ownPlatform)
      throw new Failure(
        `start the worker on host ${host.name}`,
        `it has no Node.js 24 or newer, and the boss's own does not run on ${platform}`,
        { hints: ["Install Node.js 24 there."] },
      );
    await copy(host, settings, installProgramCommand(runtime), process.execPath, "a Node.js");
  }
  const program = found === "none" ? quotePath(runtime) : quotePath(found);
  return startCommand(program, `${quotePath(directory)}/${quote(worker.entry)}`, workDirectory);
}

function startCommand(program: string, entry: string, workDirectory: string): string {
  return `${program} ${entry} --work-dir ${quote(workDirectory)}`;
}

async function copy(
  host: Host,
  { ssh, signal }: ProvideSettings,
  command: string,
  inputFile: string,
  what: string,
): Promise<void> {
  try {
    const argv = remoteCommand(host, ssh, "shared", command);
    await run(argv, { timeoutSeconds: copyTimeoutSeconds, signal, inputFile });
  } catch (error) {
    signal.throwIfAborted();
    throw new Failure(`copy ${what} to host ${host.name}`, reasonOf(error), { cause: error });
  }
}

/** The worker's files as a tar archive. */
async function archiveOf(worker: ShippedWorker): Promise<AsyncDisposable & { path: string }> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await attempt("pack the worker", temporaryDirectory("croft-worker-")));
  const { create } = await import("tar"); // most hosts have the worker already
  const path = join(directory.path, "worker.tar");
  const tree = join(directory.path, "tree");
  for (const file of worker.files) {
    await mkdir(dirname(join(tree, file.path)), { recursive: true });
    await writeFile(join(tree, file.path), file.content);
  }
  await create(
    { cwd: tree, file: path, portable: true },
    worker.files.map((file) => file.path),
  );
  const owned = stack.move();
  return { path, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
