/** A container with a systemd of its own as PID 1, on this host's programs. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, realpathSync, rmdirSync } from "node:fs";
import { createServer, connect } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { packageFile, packageRoot } from "../../os/files/package.ts";
import { run, type RunOptions, type RunResult } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { patienceMs } from "../fixtures/patience.ts";

/** Where croft lies in the container: services see neither /tmp nor home directories. */
export const croftInContainer = "/opt/croft";

const modules = realpathSync(packageFile("node_modules"));

/** The Node.js that runs this, by its path in the container: that of the packages goes with them. */
export const nodeInContainer = process.execPath.startsWith(`${modules}/`)
  ? join(croftInContainer, "node_modules", process.execPath.slice(modules.length))
  : process.execPath;

const thisEnvironment = ["env", "-i", `PATH=${process.env["PATH"]}`, "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0"];

export class Container implements AsyncDisposable {
  readonly #leader: number;
  readonly #directory: string;
  readonly #resources: AsyncDisposableStack;

  private constructor(leader: number, directory: string, resources: AsyncDisposableStack) {
    this.#leader = leader;
    this.#directory = directory;
    this.#resources = resources;
  }

  /**
   * Boots it and waits until it is up; it has a loopback network of its own only.
   *
   * @param binds directories and devices of the host, by their paths in the container
   * @param root a Debian of its own, which is written to, instead of this host's files with croft in them; it shares
   *   the host's network
   */
  static async boot(binds: Record<string, string>, root?: string): Promise<Container> {
    await using stack = new AsyncDisposableStack();
    const { path: directory } = stack.use(await temporaryDirectory("croft-test-systemd-"));
    const machine = `croft-test-${process.pid}`;
    await sweepCgroups();
    stack.defer(() => removeCgroups(machine));
    const croft = [
      `--bind-ro=${packageRoot}:${croftInContainer}`,
      // Of a clone that borrows them, too: there the link's target must be in the container.
      `--bind-ro=${modules}${modules === packageFile("node_modules") ? `:${croftInContainer}/node_modules` : ""}`,
    ];
    const options = [
      ...(root === undefined ? croft : []),
      ...Object.entries(binds).map(([inside, outside]) => `--bind=${outside}:${inside}`),
    ];
    const nspawn = spawn(
      "setpriv",
      [
        // The container would outlive a systemd-nspawn that is killed; it does not outlive its process namespace.
        ...["--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"],
        ...["--propagation", "private", "--"],
        ...["sh", packageFile("test", "systemd", "boot.sh"), directory, machine, root ?? "/", ...options],
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    stack.defer(() => kill(nspawn));
    const output: string[] = [];
    for (const stream of [nspawn.stdout, nspawn.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => output.push(text));
    const leader = await untilFound(() => leaderBelow(nspawn.pid!), nspawn, output);
    const container = new Container(leader, directory, stack.move());
    try {
      await container.#untilUp();
    } catch (error) {
      await container[Symbol.asyncDispose]();
      throw new Error(`the container does not boot:\n${output.join("")}`, { cause: error });
    }
    return container;
  }

  async #untilUp(): Promise<void> {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      const { stdout } = await this.run(["systemctl", "is-active", "basic.target"], { accept: [1, 3, 4] });
      if (stdout.trim() === "active") return;
      if (Date.now() > deadline) throw new Error(`basic.target is ${stdout.trim()}`);
      await delay(100);
    }
  }

  /** Runs a program in the container. */
  async run(argv: readonly string[], options: Partial<RunOptions> = {}): Promise<RunResult> {
    return run([...this.enter(), ...argv], { timeoutSeconds: 300, ...options });
  }

  /** Starts a program in the container that runs until it is killed, or the container ends. */
  spawn(argv: readonly string[]): ChildProcess {
    const [program, ...args] = [...this.enter(), ...argv];
    const child = spawn(program!, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#resources.defer(() => kill(child));
    return child;
  }

  /** What begins the argument vector of a program in the container. */
  enter(environment: readonly string[] = thisEnvironment): string[] {
    return ["nsenter", "--target", String(this.#leader), "--all", "--", ...environment];
  }

  /** Path on this host of a file in the container. */
  path(...parts: string[]): string {
    return join(`/proc/${this.#leader}/root`, ...parts);
  }

  /** Offers a port of this host's loopback under the same number in the container. */
  async offer(port: number): Promise<void> {
    const socket = join(this.#directory, "..", `croft-test-${process.pid}-${port}.socket`);
    const outside = createServer((client) => {
      const server = connect(port, "127.0.0.1");
      client.pipe(server).pipe(client);
      for (const end of [client, server]) end.on("error", () => (client.destroy(), server.destroy()));
    });
    await new Promise<void>((resolve) => outside.listen(socket, resolve));
    this.#resources.defer(() => new Promise((resolve) => outside.close(() => resolve())));
    const relay = `
      const { createServer, connect } = require("node:net");
      createServer((client) => {
        const server = connect(${JSON.stringify(socket)});
        client.pipe(server).pipe(client);
        for (const end of [client, server]) end.on("error", () => (client.destroy(), server.destroy()));
      }).listen(${port}, "127.0.0.1", () => console.log("up"));`;
    // In the container's network, but among this host's files, where the socket is.
    const argv = ["nsenter", "--target", String(this.#leader), "--net", "--", process.execPath, "-e", relay];
    const inside = spawn(argv[0]!, argv.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
    this.#resources.defer(() => kill(inside));
    await once(inside.stdout, "data");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "close");
  child.kill("SIGKILL");
  await ended;
}

/** The container's PID 1: below unshare(1) is systemd-nspawn, and below that systemd. */
function leaderBelow(pid: number): number | undefined {
  try {
    const nspawn = onlyChild(pid, "systemd-nspawn");
    return nspawn === undefined ? undefined : onlyChild(nspawn, "systemd");
  } catch {
    return undefined; // on its way
  }
}

function onlyChild(pid: number, name: string): number | undefined {
  const child = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").at(-1));
  const found = child > 0 && readFileSync(`/proc/${child}/comm`, "utf8").trimEnd() === name;
  return found ? child : undefined;
}

async function untilFound(
  find: () => number | undefined,
  nspawn: ChildProcess,
  output: readonly string[],
): Promise<number> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const found = find();
    if (found !== undefined) return found;
    if (nspawn.exitCode !== null || Date.now() > deadline)
      throw new Error(`systemd-nspawn does not start a container:\n${output.join("")}`);
    await delay(50);
  }
}

const hierarchies = ["", "systemd", "unified"].map((name) => join("/sys/fs/cgroup", name));

/** Removes those of containers whose test was killed. */
async function sweepCgroups(): Promise<void> {
  for (const hierarchy of hierarchies.filter(existsSync))
    for (const name of readdirSync(hierarchy)) {
      const pid = /^croft-test-(\d+)$/.exec(name)?.[1];
      if (pid !== undefined && !existsSync(`/proc/${pid}`)) await removeCgroups(name);
    }
}

/** The kernel empties them once the container is gone; somebody has to remove them. */
async function removeCgroups(machine: string): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (const hierarchy of hierarchies) {
    const top = join(hierarchy, machine);
    while (existsSync(top)) {
      try {
        removeTree(top);
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await delay(50); // the last processes are just ending
      }
    }
  }
}

function removeTree(cgroup: string): void {
  for (const entry of readdirSync(cgroup, { withFileTypes: true }))
    if (entry.isDirectory()) removeTree(join(cgroup, entry.name));
  rmdirSync(cgroup);
}
