/** What an idle agent costs without and with a machine kept ahead, as it is published. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, closeSync, readdirSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startFarm, type Farm } from "../../fixtures/farm.ts";
import { packSource, script } from "../../worker/sources.ts";
import { publishTo } from "../published.ts";
import { said, stored } from "./builds.ts";
import { goal } from "./figures.ts";

const measuredSeconds = 20;

export async function benchIdle(ramKiB: number): Promise<void> {
  await using farm = await startFarm({
    ...{ ahead: true, machine: "minimal", warm: true, ramKiB },
    agent: ["--poll-interval", "60"],
  });
  await packSource(farm.sources, { ".croft/update": script("true") });
  const package_ = join(farm.directory, "package");
  await mkdir(package_);
  await publishTo(package_);
  const without = await idle(farm, package_, ["--ahead", "off"]);
  const ahead = await idle(farm, package_, []);
  const own = without.agent;
  goal("idle agent: resident memory", megabytes(own), "≤ 100 MB", own <= 100e6);
  const more = ahead.machine!.memory + Math.max(0, ahead.agent - own);
  goal("  more with a machine kept ahead", megabytes(more), "≤ 60 MB", more <= 60e6);
  const { switches } = ahead.machine!;
  const each = `${switches} in ${measuredSeconds} s`;
  goal("  wake-ups of the machine that is kept", each, "none", switches === 0);
}

interface Cost {
  /** Bytes. */
  agent: number;
  machine?: { memory: number; switches: number };
}

async function idle(farm: Farm, package_: string, options: readonly string[]): Promise<Cost> {
  const log = openSync(farm.agentLog, "w");
  const program = join(package_, "bin", "croft.js");
  const argv = [program, ...(await farm.agentArguments(options))];
  const child = spawn(process.execPath, argv, { stdio: ["ignore", log, log] });
  closeSync(log);
  const ended = once(child, "exit");
  try {
    await stored(farm, await farm.submit({ name: "hello" }));
    if (options.length === 0) await said(farm, "a copy is kept ahead", 1);
    await sleep(5000);
    const machine = childOf(child.pid!);
    const before = machine === undefined ? 0 : switchesOf(machine);
    await sleep(measuredSeconds * 1000);
    const agent = valueOf(child.pid!, "Rss");
    if (machine === undefined) return { agent };
    const switches = switchesOf(machine) - before;
    return { agent, machine: { memory: valueOf(machine, "Anonymous"), switches } };
  } finally {
    child.kill("SIGTERM");
    await ended;
  }
}

/** QEMU, if one runs. */
function childOf(pid: number): number | undefined {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return children === "" ? undefined : Number(children.split(" ")[0]);
}

/** How often threads of a process have waited for something that then came. */
function switchesOf(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((thread) => readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8"))
    .reduce((sum, text) => sum + Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(text)![1]), 0);
}

/** Bytes, from smaps_rollup: proc_pid_smaps(5). */
function valueOf(pid: number, name: string): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(new RegExp(`^${name}: +(\\d+) kB`, "m").exec(text)![1]) * 1024;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
