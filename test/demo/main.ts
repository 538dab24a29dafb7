/**
 * `npm run demo [-- SOURCE] [--keep]`: a whole farm on this host, which builds a project in a virtual machine and
 * shows the log as it grows, and the result.
 *
 * SOURCE is a git URL or a directory with a git repository; a sample project in C unless given. `--keep` leaves the
 * farm running until Ctrl-C. Whatever is started ends with this process, however it ends: children by their
 * parent-death signal, mounts with the namespace (namespace.ts); what is kept for the next time is in state.ts.
 */
import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { Failure, reasonOf } from "../../os/failure.ts";
import { packageFile, packageRoot } from "../../os/files/package.ts";
import { useModules } from "../setup/in-use.ts";
import { build, showResult } from "./build.ts";
import { provideMachine } from "./machine.ts";
import { enterNamespace } from "./namespace.ts";
import { endWithNpm } from "./parent.ts";
import { Screen } from "./screen.ts";
import { followLines, startService, type Service } from "./service.ts";
import { configureHook, push } from "./push.ts";
import { openSource } from "./source.ts";
import { openState, type DemoState } from "./state.ts";
import { freePort } from "../fixtures/ports.ts";

/** Ended by a signal: the exit status says which. */
class Stopped extends Error {
  readonly status: number;

  constructor(status: number) {
    super("stopped");
    this.status = status;
  }
}

const screen = new Screen();
process.exit(await start()); // whatever is still waited for, such as a lock of another process, does not count

async function start(): Promise<number> {
  const options = readArguments();
  if (!options) return 2;
  const canMount = enterNamespace();
  const stop = new AbortController();
  const statuses = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };
  // npm passes on what the terminal has sent already: one request may come twice, and the second changes nothing.
  for (const [signal, status] of Object.entries(statuses))
    process.on(signal, () => {
      if (!stop.signal.aborted) screen.line("\nStopping the farm…");
      stop.abort(new Stopped(status));
    });
  endWithNpm();
  try {
    return await demo(options, canMount, stop.signal);
  } catch (error) {
    if (stop.signal.aborted) return (stop.signal.reason as Stopped).status;
    if (!(error instanceof Failure)) throw error;
    screen.line(`\nThe demo failed. ${error.message}`);
    for (const hint of error.hints) screen.line(`  ${hint}`);
    screen.line(`Logs: ${shown(packageFile(".cache", "demo", "logs"))}`);
    return 1;
  }
}

interface Options {
  source: string | undefined;
  keep: boolean;
}

function readArguments(): Options | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: process.argv.slice(2).filter((argument) => argument !== "--"),
      allowPositionals: true,
      options: { keep: { type: "boolean", default: false } },
    });
    if (positionals.length > 1) throw new Error("more than one source");
    return { source: positionals[0], keep: values.keep };
  } catch (error) {
    process.stderr.write(`${reasonOf(error)}\nusage: npm run demo [-- [GIT-URL|DIRECTORY] [--keep]]\n`);
    return undefined;
  }
}

async function demo(
  { source: given, keep }: Options,
  canMount: boolean,
  signal: AbortSignal,
): Promise<number> {
  const began = Date.now();
  using _modules = await useModules();
  await using state = await openState(canMount, signal);
  // Another clone's demo has another toolchain, so that the two never touch each other's machines.
  const toolchain = `demo_${createHash("sha256").update(packageRoot).digest("hex").slice(0, 8)}`;

  screen.heading("Build machine");
  const kept = await provideMachine(state, toolchain, screen, signal);
  const storage = state.obstacle === undefined ? "btrfs snapshots" : `plain directories: ${state.obstacle}`;
  screen.line(
    `Debian machine ${kept ? "from an earlier run" : "made, and kept for the next run"} (${storage})`,
  );

  screen.heading("Farm");
  await using source = await openSource(given, join(state.run, "source"), signal);
  const configuration = source.work && (await configureHook(source, state.run));
  await using controller = startController(state, configuration);
  const url = await screen.during("starting the controller", () => controllerUrl(controller, signal));
  screen.line(`controller and dashboard: ${url}/`);
  await using agent = startService(
    "agent",
    await agentArguments(state, toolchain, url),
    join(state.logs, "agent.log"),
    state.lock,
  );
  screen.line(`agent: one virtual machine at a time, ${processors()} processors, 1 GiB`);

  screen.heading(`Build of ${source.described}`);
  const pushed = source.work && (await push(url, source));
  if (pushed)
    screen.line(
      `git push ${source.name} main (${pushed.commit.slice(0, 12)}): its forge's hook has started build ${pushed.build}: ${url}/builds/${pushed.build}`,
    );
  const built = await build(url, source, pushed?.build, { controller, agent }, screen, signal);

  screen.heading("Result");
  await showResult(url, built, packageFile(".cache", "demo", "artifacts"), screen);
  if (pushed) screen.line(`  badge    ${url}/badge/${source.name}.svg: ${await badgeOf(url, source.name)}`);
  screen.line(
    `  ${built.succeeded ? "The build succeeded" : "The build FAILED"}, ${Math.round((Date.now() - began) / 1000)} s after the start.`,
  );
  screen.line(`  Logs of the farm: ${shown(state.logs)}`);
  if (keep) await keepRunning(url, built.id, [controller, agent], signal);
  else screen.line("  To keep the farm and look at its pages: npm run demo -- --keep");
  return built.succeeded ? 0 : 1;
}

function startController(state: DemoState, configuration: string | undefined): Service {
  const args = [
    ...["controller", "--data", join(state.run, "controller"), "--listen", "127.0.0.1:0"],
    ...(configuration === undefined ? [] : ["--config", configuration]),
  ];
  return startService("controller", args, join(state.logs, "controller.log"), state.lock);
}

/** What it says, in words. */
async function badgeOf(url: string, name: string): Promise<string> {
  const image = await (await fetch(`${url}/badge/${name}.svg`)).text();
  return /aria-label="([^"]*)"/.exec(image)?.[1] ?? "none";
}

/** Waits for the line that says where it listens. */
async function controllerUrl(controller: Service, signal: AbortSignal): Promise<string> {
  const found = async () => {
    for await (const line of followLines(controller.log, signal)) {
      const url = /^croft controller: (http\S+?)\/?$/.exec(line)?.[1];
      if (url !== undefined) return url;
    }
    throw signal.reason;
  };
  return await Promise.race([found(), controller.failed]);
}

async function agentArguments(state: DemoState, toolchain: string, url: string): Promise<string[]> {
  const run = (name: string) => join(state.run, name);
  return [
    ...["agent", "--verbose", "2", "--poll-interval", "5"],
    ...["--machines", state.machines, "--storage", state.storage],
    ...["--toolchain-name", toolchain, "--toolchain-lock", run("toolchain.lock")],
    ...["--tftp", run("tftp"), "--tftp-port", String((await freePort()) - 1)],
    ...["--spool", run("spool"), "--runtime", run("runtime")],
    ...["--cpu", String(processors()), "--ram", String(1024 * 1024)],
    `${url}/agent/task`,
  ];
}

function processors(): number {
  return Math.min(availableParallelism(), 4);
}

async function keepRunning(
  url: string,
  id: number,
  services: readonly Service[],
  signal: AbortSignal,
): Promise<void> {
  screen.heading("The farm keeps running until Ctrl-C");
  screen.line(`  dashboard: ${url}/    this build: ${url}/builds/${id}`);
  screen.line(`  submit:    bin/croft submit --controller ${url} --repository GIT-URL --follow`);
  const aborted = new Promise<void>((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true }),
  );
  await Promise.race([aborted, ...services.map(({ failed }) => failed)]);
}

function shown(path: string): string {
  return relative(process.cwd(), path) || ".";
}
