/** A whole farm of real processes on btrfs: controllers, agents, minimal machines, and the sources they build. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { silentLog } from "../../os/log.ts";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { machinePaths, manifestPath } from "../../machines/layout.ts";
import { newRevisionPath, nextRevision, publishRevision } from "../../machines/revisions.ts";
import { openStorage } from "../../machines/open-storage.ts";
import type { Storage } from "../../machines/storage.ts";
import { layDatabase } from "../fixtures/databases.ts";
import { btrfsFileSystem } from "../fixtures/machines/btrfs.ts";
import { minimalMachine } from "../fixtures/machines/images.ts";
import { isRunning } from "../fixtures/processes.ts";
import { CroftProcess } from "./croft-process.ts";
import { serveCountedSources, type CountedSources } from "./sources.ts";
import { freePort } from "../fixtures/ports.ts";
import { bootstrappedMachine, copyTree } from "../fixtures/machines/ready-machines.ts";

export interface SoakFarmOptions {
  machines: number;
  instances: number;
  /** One controller for each, `DCBA`. */
  priorities: readonly string[];
  /** YAML. */
  configuration: string;
  /** Further options of the agents. */
  agent?: readonly string[];
}

/** A build as the interface tells it. */
export interface BuildView {
  id: number;
  name: string;
  state: string;
  status: string | null;
  startedAt: string | null;
  attempts: { attempt: number; state: string; status: string | null; machine: string; startedAt: string }[];
}

/** A controller's process, and where it listens, through all its lives. */
export interface SoakController {
  process: CroftProcess;
  url: string;
}

export class SoakFarm implements AsyncDisposable {
  readonly directory: string;
  /** The machines directory, a btrfs file system. */
  readonly machines: string;
  readonly sources: CountedSources;
  readonly controllers: SoakController[] = [];
  readonly agents: CroftProcess[] = [];
  readonly #storage: Storage;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    parts: { directory: string; machines: string; sources: CountedSources; storage: Storage },
    stack: AsyncDisposableStack,
  ) {
    this.directory = parts.directory;
    this.machines = parts.machines;
    this.sources = parts.sources;
    this.#storage = parts.storage;
    this.#stack = stack;
  }

  /** Starts the controllers; the agents are started by whoever wants them. */
  static async make(options: SoakFarmOptions): Promise<SoakFarm> {
    await using stack = new AsyncDisposableStack();
    const { path: directory } = stack.use(await temporaryDirectory("croft-test-soak-"));
    const { path: machines } = stack.use(await btrfsFileSystem({ sizeMiB: 4096 }));
    const sources = stack.use(await serveCountedSources());
    const storage = await openStorage(machines, "btrfs", silentLog());
    const made = stack.use(new AsyncDisposableStack());
    const farm = new SoakFarm({ directory, machines, sources, storage }, made);
    for (let number = 1; number <= options.machines; number++)
      await farm.#layBootstrapped(`m${number}`, await farm.publish(`m${number}`));
    await writeFile(join(directory, "controller.yaml"), options.configuration);
    for (const index of options.priorities.keys()) farm.controllers.push(await farm.#makeController(index));
    for (const { process } of farm.controllers) process.start();
    for (const { url } of farm.controllers) await until(() => isReady(url), `${url} to be ready`);
    for (let instance = 1; instance <= options.instances; instance++)
      farm.agents.push(await farm.#makeAgent(instance, options));
    const outer = stack.move();
    made.defer(() => outer.disposeAsync());
    return farm;
  }

  async #makeController(index: number): Promise<SoakController> {
    // It must listen on the same port when it is started again: the tasks it gave name it.
    const address = `127.0.0.1:${await freePort()}`;
    const at = (name: string) => join(this.directory, name);
    await layDatabase(at(`data-${index}`));
    const files = ["--data", at(`data-${index}`), "--config", at("controller.yaml")];
    const args = ["controller", "--listen", address, ...files];
    const process = new CroftProcess(`controller ${index}`, args, at(`controller-${index}.log`));
    this.#stack.use(process);
    return { process, url: `http://${address}` };
  }

  async #makeAgent(instance: number, options: SoakFarmOptions): Promise<CroftProcess> {
    const at = (name: string) => join(this.directory, name);
    const places = ["tftp", "spool", "runtime"].flatMap((name) => [`--${name}`, at(name)]);
    const limits = ["--ram", "262144", "--startup-timeout", "300", "--poll-interval", "1"];
    const own = ["--instance", String(instance), "--tftp-port", String((await freePort()) - instance)];
    const controllers = this.controllers.map(
      ({ url }, index) => `${options.priorities[index]}=${url}/agent/task`,
    );
    const args = [
      ...[
        "agent",
        "--verbose",
        "3",
        "--log-format",
        "json",
        "--machines",
        this.machines,
        "--storage",
        "btrfs",
      ],
      ...[...places, "--toolchain-lock", at("toolchain.lock"), ...limits, ...own, ...(options.agent ?? [])],
      ...controllers,
    ];
    const process = new CroftProcess(`agent ${instance}`, args, at(`agent-${instance}.log`));
    this.#stack.use(process);
    return process;
  }

  /** Publishes the next revision of a machine; what it builds can read its id in `/proc/cmdline`. */
  async publish(name: string): Promise<string> {
    const paths = machinePaths(this.machines, "volume", name, "default");
    const id = `${name}-1.${nextRevision(paths)}`;
    const path = await newRevisionPath(paths);
    const image = await minimalMachine();
    await this.#storage.createSubvolume(path);
    await copyTree(image, path);
    await writeFile(manifestPath(path), `: 1\nid: ${id}\nname: ${name}\nsummary: A machine\ntype: kvm\n`);
    await nameRevision(path, id);
    await publishRevision(this.#storage, paths, path);
    return id;
  }

  /** As if an agent had bootstrapped the first revision: that of the next one is what is tried here. */
  async #layBootstrapped(name: string, id: string): Promise<void> {
    const { bootstrapped: path } = machinePaths(this.machines, "volume", name, "default");
    await this.#storage.createSubvolume(path);
    await copyTree(await bootstrappedMachine(), path);
    const manifest = await readFile(manifestPath(path), "utf8");
    const named = manifest.replace(/^id: .*$/m, `id: ${id}`).replace(/^name: .*$/m, `name: ${name}`);
    await writeFile(manifestPath(path), named);
    await nameRevision(path, id);
  }

  /** Submits a build of what {@link CountedSources.add} has made; its number. */
  async submit(controller: SoakController, name: string, machine?: string): Promise<number> {
    const response = await fetch(`${controller.url}/api/v1/builds`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        ...{ name, version: "1.0", type: "pkg", repository: this.sources.guestUrl },
        ...(machine === undefined ? {} : { machine }),
      }),
    });
    const answer = (await response.json()) as { builds: { id: number }[] };
    if (response.status !== 201) throw new Error(`${response.status}: ${JSON.stringify(answer)}`);
    return answer.builds[0]!.id;
  }

  async view(controller: SoakController, id: number): Promise<BuildView> {
    return (await (await fetch(`${controller.url}/api/v1/builds/${id}`)).json()) as BuildView;
  }

  async buildLog(controller: SoakController, id: number): Promise<string> {
    return (await fetch(`${controller.url}/api/v1/builds/${id}/log`)).text();
  }

  /** What agents have logged so far. */
  records(agent: CroftProcess): Record<string, unknown>[] {
    if (!existsSync(agent.log)) return [];
    const records = [];
    for (const line of readFileSync(agent.log, "utf8").split("\n")) {
      try {
        records.push(JSON.parse(line) as Record<string, unknown>);
      } catch {
        // a line that a killed agent did not finish, or a stack
      }
    }
    return records;
  }

  at(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  /** Pid of an instance's machine, if one runs. */
  machineOf(instance: number): number | undefined {
    const file = this.at("runtime", `default-${instance}`, "qemu.pid");
    const pid = existsSync(file) ? Number(readFileSync(file, "utf8")) : 0;
    return pid > 1 && isRunning(pid) ? pid : undefined;
  }

  /** What is left that should not be, once the agents have ended. */
  async leftovers(): Promise<string[]> {
    const left: string[] = [];
    for (const name of readdirSync(join(this.machines, "volume")))
      for (const entry of readdirSync(join(this.machines, "volume", name)))
        if (!/^m\d+-(1|1\.\d+|default|default(-\d+)?\.lock)$/.test(entry)) left.push(`${name}/${entry}`);
    const { stdout } = await run(["btrfs", "subvolume", "list", this.machines], { timeoutSeconds: 300 });
    for (const [, path] of stdout.matchAll(/ path (.*)$/gm))
      if (!/^volume\/m\d+\/m\d+-(1\.\d+|default)$/.test(path!)) left.push(`subvolume ${path}`);
    const find = [this.at("runtime"), this.at("tftp", "build"), this.at("tftp", "bootstrap")].filter(
      existsSync,
    );
    // Locks stay (agent/task-state/instance-lock.ts), and so does the last console.
    const others = ["console.log*", "lock", "*.lock"].flatMap((name) => ["!", "-name", name]);
    const argv = ["find", ...find, "!", "-type", "d", ...others];
    const { stdout: files } = await run(argv, { timeoutSeconds: 300 });
    left.push(...files.split("\n").filter((line) => line !== ""));
    for (const instance of readdirSync(this.at("spool")))
      for (const entry of readdirSync(this.at("spool", instance)))
        if (entry !== "lock" && entry !== "evidence") left.push(`spool ${instance}/${entry}`);
    const pattern = `qemu-system.*${this.directory}`;
    const { stdout: pids } = await run(["pgrep", "-f", pattern], { timeoutSeconds: 300, accept: [1] });
    left.push(...pids.split("\n").filter((line) => line !== ""));
    return left;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** What a machine builds can read the id there. */
async function nameRevision(path: string, id: string): Promise<void> {
  const file = join(path, "cmdline");
  const parameters = await readFile(file, "utf8");
  await writeFile(file, `${parameters.trim()} revision=${id}\n`);
}

async function isReady(url: string): Promise<boolean> {
  return fetch(`${url}/readyz`).then(
    ({ status }) => status === 200,
    () => false,
  );
}

/** Waits for something outside of this process. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutSeconds = 300,
): Promise<void> {
  const deadline = Date.now() + timeoutSeconds * 1000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutSeconds} s in vain for ${what}`);
    await delay(100);
  }
}
