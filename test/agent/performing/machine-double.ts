/** An agent in this process whose machines do what a test says, in the order that it says. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { duplexPair } from "node:stream";
import type { Context } from "../../../agent/context.ts";
import { AgentMetrics } from "../../../agent/status/metrics.ts";
import { SignsOfLife } from "../../../agent/task-state/signs-of-life.ts";
import { Ahead } from "../../../agent/performing/ahead.ts";
import { Failure } from "../../../os/failure.ts";
import { openConfiguredContext } from "../../../agent/configured-context.ts";
import type { Settings } from "../../../agent/settings/settings.ts";
import { belongingOf, type WarmSubject } from "../../../agent/settings/warm.ts";
import { makeSettings } from "../settings/make-settings.ts";
import { SpoolMeter } from "../../../agent/task-state/spool-size.ts";
import { Spool } from "../../../agent/task-state/spool.ts";
import { HostAbility } from "../../../agent/ability.ts";
import { Status } from "../../../agent/status/status.ts";
import { TaskPhases } from "../../../agent/status/task-phases.ts";
import { newStateName } from "../../../machines/names.ts";
import { publishState } from "../../../machines/warm/state.ts";
import type {
  MachineEnd,
  StartOptions,
  VirtualMachine,
  WarmMachine,
} from "../../../machines/virtual-machine.ts";
import { makeFarm, toolchain, type Farm } from "../../machines/farm.ts";
import { get, put } from "../tftp/client.ts";

/** A machine as the agent sees it; a test plays the rest. */
export class MachineDouble implements VirtualMachine {
  readonly consoleFile: string;
  /** The test plays the guest, from sockets of its own. */
  readonly pid = process.pid;
  readonly user = undefined;
  readonly options: StartOptions;
  readonly ended: Promise<MachineEnd>;
  /** Of one that is restored. */
  warm?: WarmMachine;
  /** What the agent did with it. */
  readonly calls: string[] = [];
  /** Called on the power button; by default the guest obeys. */
  onPowerButton = (): void => this.end("shutdown");
  readonly #ended = Promise.withResolvers<MachineEnd>();
  readonly #suspended = Promise.withResolvers<void>();
  readonly #resumed = Promise.withResolvers<"resumed">();

  constructor(options: StartOptions) {
    this.options = options;
    this.consoleFile = join(options.runtimeDirectory, "console.log");
    writeFileSync(this.consoleFile, "console\n");
    this.ended = this.#ended.promise;
  }

  get tftpPort(): number {
    return this.options.network.tftpPort;
  }

  /** The guest shows a sign of life. */
  async askForTask(name = "task.manifest"): Promise<string> {
    return (await get(this.tftpPort, name)).toString();
  }

  /** The same for a guest whose time is so short that the server may close in the middle of its answer. */
  async showSignOfLife(name = "task.manifest"): Promise<void> {
    await this.askForTask(name).catch(() => undefined);
  }

  upload(name: string, text: string): Promise<void> {
    return put(this.tftpPort, name, Buffer.from(text));
  }

  end(how: MachineEnd["how"]): void {
    this.#ended.resolve({ how, detail: `ended: ${how}` });
  }

  resumeByOperator(): void {
    this.#resumed.resolve("resumed");
  }

  /** Waits until the agent holds it: it has said so to the operator. */
  async untilHeld(): Promise<void> {
    await this.#suspended.promise;
    const note = join(this.options.runtimeDirectory, "suspended.json");
    while (!existsSync(note)) await new Promise((resolve) => setImmediate(resolve));
  }

  async wait(timeoutSeconds: number, signal?: AbortSignal): Promise<MachineEnd | undefined> {
    const late = Promise.withResolvers<undefined>();
    signal?.addEventListener("abort", () => late.reject(signal.reason as Error), { once: true });
    const timer = setTimeout(() => late.resolve(undefined), Math.min(timeoutSeconds * 1000, 2 ** 30));
    try {
      return await Promise.race([this.ended, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async shutdown(timeoutSeconds: number): Promise<boolean> {
    this.calls.push(`shutdown ${timeoutSeconds}`);
    this.onPowerButton();
    return (await this.wait(0.05)) !== undefined;
  }

  async forceDown(): Promise<void> {
    this.end("forced");
  }

  async suspend(): Promise<void> {
    this.calls.push("suspend");
    this.#suspended.resolve();
  }

  async resume(): Promise<void> {}

  async resumedOrEnded(signal?: AbortSignal): Promise<"resumed" | "ended"> {
    const aborted = Promise.withResolvers<never>();
    signal?.addEventListener("abort", () => aborted.reject(signal.reason as Error), { once: true });
    return await Promise.race([
      this.#resumed.promise,
      this.ended.then(() => "ended" as const),
      aborted.promise,
    ]);
  }

  describe(): string {
    return "a double";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.calls.includes("gone")) this.calls.push("gone");
    await this.forceDown();
  }
}

/** An agent's context, and the machines that it has started. */
export interface AgentDouble extends AsyncDisposable {
  readonly farm: Farm;
  readonly context: Context;
  readonly machines: MachineDouble[];
}

/**
 * Makes one with the machine `m`, not bootstrapped yet.
 *
 * @param play what the guest does after its start, the `attempt`th of this agent.
 */
export async function agentDouble(
  play: (machine: MachineDouble, attempt: number) => Promise<void> | void,
  changes: Partial<Settings> = {},
  manifest?: string,
): Promise<AgentDouble> {
  const farm = await makeFarm();
  await farm.publish("m", manifest === undefined ? {} : { manifest });
  const at = (name: string) => join(farm.directory, "..", name);
  const places = { tftp: at("tftp"), spool: at("spool"), runtime: at("run"), machines: farm.directory };
  const settings: Settings = {
    ...makeSettings({ "toolchain-name": toolchain, "no-warm": true, ...places }, ["http://127.0.0.1:1/task"]),
    tftpPort: 0,
    startupTimeoutSeconds: { bootstrap: 5, build: 5 },
    ...changes,
  };
  const spool = await Spool.open(join(settings.spool, `${toolchain}-1`));
  const status = new Status(farm.log, false);
  const spoolMeter = new SpoolMeter(spool.directory);
  const metrics = new AgentMetrics(settings, status, spoolMeter);
  const machines: MachineDouble[] = [];
  const stop = new AbortController().signal;
  const signs = new SignsOfLife({ ask: () => Promise.reject(new Failure("ask", "no controller")) }, farm.log);
  const context: Context = {
    ...(await openConfiguredContext(settings, spool, farm.log, metrics, signs, stop)),
    signs,
    ...{ log: farm.log, spool, spoolMeter, status, metrics, hostName: "host", stop },
    phases: new TaskPhases((phase, seconds) => metrics.taskPhase(phase, seconds)),
    ability: new HostAbility(),
    ahead: new Ahead(),
    startMachine: (options) => {
      mkdirSync(options.runtimeDirectory, { recursive: true });
      const machine = new MachineDouble(options);
      machines.push(machine);
      void (async () => play(machine, machines.length))().catch((error: unknown) => {
        machine.calls.push(`failed: ${String(error)}`);
      });
      return Promise.resolve(machine);
    },
  };
  const dispose = async () => {
    await signs[Symbol.asyncDispose]();
    await farm[Symbol.asyncDispose]();
  };
  return { farm, context, machines, [Symbol.asyncDispose]: dispose };
}

/**
 * Plays a worker that was restored: it waits until the machine goes on, and until the agent has it begin.
 *
 * @param answers of it, each to what it hears next.
 * @returns what it was told first.
 */
export async function beginsWhenTold(
  machine: MachineDouble,
  answers: (string | Buffer)[] = ["?", randomBytes(32)],
): Promise<string> {
  const [control, guest] = duplexPair();
  const goesOn = Promise.withResolvers<void>();
  const proceed = async () => {
    machine.calls.push("proceed");
    goesOn.resolve();
  };
  const save = () => Promise.reject(new Error("it is not saved"));
  const plug = async () => void machine.calls.push("plug");
  const rest = () => void machine.calls.push("rest");
  machine.warm = { control, options: [], version: "7", rest, plug, proceed, save };
  await goesOn.promise;
  const told: Buffer[] = [];
  await new Promise<void>((resolve) => {
    guest.on("data", (chunk: Buffer) => {
      told.push(chunk);
      guest.write(answers.shift()!);
      if (answers.length === 0) resolve();
    });
  });
  return told[0]!.toString();
}

/** Lays a saved state, which counts, beside a machine. */
export async function layState(settings: Settings, subject: WarmSubject): Promise<void> {
  const made = join(subject.paths.bootstrapped, newStateName(1));
  mkdirSync(made);
  for (const name of ["ram", "device", "disk.img"]) writeFileSync(join(made, name), "".padEnd(4096, "."));
  const about = { ...belongingOf(settings, subject), version: "7", options: [], bootSeconds: 1 };
  await publishState(subject.paths, 1, made, about);
}
