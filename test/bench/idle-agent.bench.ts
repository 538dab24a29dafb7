/**
 * What an agent costs that has nothing to do: built as it is published, started as systemd does it, with machines that
 * are up to date and a controller without a task; beside a Node.js that does nothing at all.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { machinePaths, manifestPath } from "../../machines/layout.ts";
import { FakeController } from "../agent/fake-controller.ts";
import { publishTo } from "./published.ts";

const measuredSeconds = 60;
const machineCount = 6;
const tickMilliseconds = 10; // proc(5), sysconf(_SC_CLK_TCK) is 100

export default async function bench(): Promise<void> {
  await using directory = await temporaryDirectory("croft-test-idle-");
  const at = (name: string) => join(directory.path, name);
  await publishTo(directory.path);
  await makeMachines(at("machines"));
  await using controller = await FakeController.start();
  const argv = await agentArguments(directory.path, controller.url("/task"));
  await run([process.execPath, ...argv, "--fake-bootstrap", "--dump-machines"], { timeoutSeconds: 120 });
  await using socket = await notifySocket(at("notify"));

  await using idle = start(["-e", "setTimeout(() => {}, 1e8)"], {});
  await using agent = start([...argv, "--systemd-daemon"], {
    NOTIFY_SOCKET: socket.path,
    WATCHDOG_USEC: "60000000",
  });
  await controller.requests("/task", 1, 120);
  await sleep(2000);
  const startMs = processorMs(agent.pid);
  await sleep(measuredSeconds * 1000);
  const rounds = controller.received.length;
  const usedMs = processorMs(agent.pid) - startMs;
  const [own, base] = [memoryOf(agent.pid), memoryOf(idle.pid)];
  line("idle agent: resident memory (goal: at most 110 MB)", megabytes(own.rss));
  line("  of it its own, not shared with other instances", megabytes(own.anonymous));
  line("  share, if counted by halves and thirds (PSS)", megabytes(own.pss));
  line("node that does nothing: resident; its own", `${megabytes(base.rss)}; ${megabytes(base.anonymous)}`);
  line(
    "ratio: resident; own",
    `${(own.rss / base.rss).toFixed(2)}; ${(own.anonymous / base.anonymous).toFixed(2)}`,
  );
  const percent = (usedMs / measuredSeconds / 10).toFixed(3);
  line(
    `processor time in ${measuredSeconds} s (goal: at most 0.2 %)`,
    `${usedMs.toFixed(0)} ms, ${percent} %`,
  );
  line("  in it rounds through the machines and to the controller", String(rounds - 1));
  line("processor time to start, with the first round", `${startMs.toFixed(0)} ms`);
  await printContents(argv, at("contents"));
}

async function makeMachines(machines: string): Promise<void> {
  for (let number = 1; number <= machineCount; number++) {
    const paths = machinePaths(machines, "volume", `m${number}`, "default");
    await mkdir(`${paths.current}.1`, { recursive: true });
    const manifest = `: 1\nid: m${number}-1.1\nname: m${number}\nsummary: A machine\ntype: kvm\n`;
    await writeFile(manifestPath(`${paths.current}.1`), manifest);
    await symlink(`m${number}-1.1`, paths.current);
  }
}

/** As the unit starts it: with a configuration file. */
async function agentArguments(directory: string, url: string): Promise<string[]> {
  const at = (name: string) => join(directory, name);
  const places = ["machines", "tftp", "spool", "runtime"].map((name) => `${name}: ${at(name)}\n`).join("");
  const text = `${places}toolchain-lock: ${at("lock")}\ncontrollers: ["0100=${url}"]\n`;
  await writeFile(at("agent.yaml"), text);
  return [at("bin/croft.js"), "agent", "--config", at("agent.yaml")];
}

interface Running extends AsyncDisposable {
  pid: number;
  child: ChildProcess;
}

function start(argv: readonly string[], env: NodeJS.ProcessEnv): Running {
  const child = spawn(process.execPath, argv, { stdio: "ignore", env: { ...process.env, ...env } });
  const ended = once(child, "exit");
  return {
    pid: child.pid!,
    child,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** A socket that swallows what services tell; Node.js has no datagram sockets of this kind. */
async function notifySocket(path: string): Promise<Running & { path: string }> {
  const program =
    "use Socket; socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, sockaddr_un($ARGV[0])); syswrite STDOUT, 'up'; " +
    "recv(S, $b, 65536, 0) while 1";
  const child = spawn("perl", ["-e", program, path], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const ended = once(child, "exit");
  return {
    path,
    pid: child.pid!,
    child,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

interface Memory {
  /** All in KiB, from smaps_rollup: proc_pid_smaps(5). */
  rss: number;
  pss: number;
  anonymous: number;
}

function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const value = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB`, "m").exec(text)![1]);
  return { rss: value("Rss"), pss: value("Pss"), anonymous: value("Anonymous") };
}

/** Of a process and of the children that it has waited for. */
function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]) * tickMilliseconds, 0);
}

/** Counts what is loaded, by package, and tells on SIGWINCH, which nobody else listens to. */
const probe = `
  import { registerHooks } from "node:module";
  import { writeFileSync } from "node:fs";
  const loaded = {};
  registerHooks({ load(url, context, next) {
    const name = url.startsWith("node:") ? "node:" : /.*\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)?.[1] ?? "croft";
    loaded[name] = (loaded[name] ?? 0) + 1;
    return next(url, context);
  } });
  process.on("SIGWINCH", () => {
    writeFileSync(process.env.PROBE, JSON.stringify({ loaded, memory: process.memoryUsage() }));
    process.kill(process.pid, "SIGTERM");
  });`;

/** What an agent has loaded and what its memory is made of; in a process of its own, as looking costs something. */
async function printContents(argv: readonly string[], file: string): Promise<void> {
  await using controller = await FakeController.start();
  const options = ["--import", `data:text/javascript,${encodeURIComponent(probe)}`];
  const all = [...options, ...argv, "--systemd-daemon", "--instance", "2", controller.url("/task")];
  await using agent = start(all, { PROBE: file });
  await controller.requests("/task", 1, 120);
  await sleep(1000);
  const ended = once(agent.child, "exit");
  agent.child.kill("SIGWINCH");
  await ended;
  const { loaded, memory } = JSON.parse(readFileSync(file, "utf8")) as {
    loaded: Record<string, number>;
    memory: NodeJS.MemoryUsage;
  };
  const inMegabytes = (bytes: number) => megabytes(bytes / 1024);
  line(
    "made of: heap in use; reserved for it",
    `${inMegabytes(memory.heapUsed)}; ${inMegabytes(memory.heapTotal)}`,
  );
  line("  outside of the heap, of objects in it", inMegabytes(memory.external));
  const packages = Object.entries(loaded).sort((a, b) => b[1] - a[1]);
  const list = packages.map(([name, count]) => `${name} ${count}`).join(", ");
  const modules = packages.reduce((sum, [, count]) => sum + count, 0);
  process.stdout.write(`  ${modules} modules loaded: ${list}\n`);
  const manifest = JSON.parse(readFileSync(packageFile("package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  const base = await memoryWith("");
  for (const [name] of packages)
    if (Object.hasOwn(manifest.dependencies, name)) {
      const { anonymous } = await memoryWith(`await import("${name}");`);
      line(`  ${name} alone adds`, megabytes(anonymous - base.anonymous));
    }
}

async function memoryWith(statement: string): Promise<Memory> {
  const script = `${statement} process.stdout.write("up"); setTimeout(() => {}, 1e8);`;
  const argv = ["--input-type=module", "--eval", script];
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"], cwd: packageFile() });
  const ended = once(child, "exit");
  await once(child.stdout, "data");
  const memory = memoryOf(child.pid!);
  child.kill();
  await ended;
  return memory;
}

function line(what: string, value: string): void {
  process.stdout.write(`${what.padEnd(58)} ${value}\n`);
}

function megabytes(kibibytes: number): string {
  return `${((kibibytes * 1024) / 1e6).toFixed(1)} MB`;
}
