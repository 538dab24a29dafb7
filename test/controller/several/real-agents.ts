/** Agents as processes with machines of their own, which build what can be told to be whole: numbers that follow from the package's name. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { keptMachines } from "../../fixtures/machines/ready-machines.ts";
import { freePort } from "../../fixtures/ports.ts";
import { CroftProcess } from "../../soak/croft-process.ts";
import { packSource, script, serveSources, type Sources } from "../../worker/sources.ts";
import { digestOf, leftOut } from "./mortal-farm.ts";

const artifactLines = 10_000;
const logParts = 4;
const linesOfPart = 100;

/** The same numbers are made here, and by the build. */
function linesOf(name: string, count: number): string {
  let lines = "";
  let value = Number(name.replace("build-", ""));
  for (let line = 1; line <= count; line++) {
    value = (value * 16_807 + line) % 2_147_483_647;
    lines += `${line} ${value}\n`;
  }
  return lines;
}

const logOf = (name: string) => linesOf(name, logParts * linesOfPart);

/** Some 150 KB; told by digests where it is another one. */
export function assertArtifact(content: string, name: string, where: string): void {
  assert.equal(digestOf(content), digestOf(linesOf(name, artifactLines)), `artifact of ${where}`);
}

/** The stored log of the operation, with the worker's own first and last line. */
export function assertLog(log: string, name: string, where: string): void {
  const said = /^\+ \.croft\/update\n([^]*)==> update: success \(\d+ s\)\n?$/.exec(log)?.[1];
  assert.ok(said !== undefined, `log of ${where}: ${log.slice(0, 80)}…${log.slice(-80)}`);
  assert.equal(digestOf(said), digestOf(logOf(name)), `log of ${where}`);
}

const update = script(
  'mkdir -p "$CROFT_UPLOAD/artifact"',
  'numbers="$CROFT_UPLOAD/artifact/$CROFT_NAME.txt"',
  `awk -v x="\${CROFT_NAME#build-}" 'BEGIN {`,
  `  for (i = 1; i <= ${artifactLines}; i++) { x = (x * 16807 + i) % 2147483647; printf "%d %d\\n", i, x } }' > "$numbers"`,
  `for part in ${Array.from({ length: logParts }, (_, part) => part).join(" ")}; do`,
  `  sed -n "$((part * ${linesOfPart} + 1)),$((part * ${linesOfPart} + ${linesOfPart}))p" "$numbers"`,
  "  sleep 0.5",
  "done",
);

/**
 * What was read of an attempt's live log. It is a courtesy: what a controller that was away for long has not taken is left out, with
 * a mark, or without one if it was away for that, too; but nothing comes twice or out of its place.
 *
 * @returns how much of it there was.
 */
export function assertLiveLog(read: string, name: string, where: string): "whole" | "marked" | "cut" {
  const all = logOf(name).split(/(?<=\n)/);
  let next = 0;
  for (const [index, piece] of read.split(leftOut).entries()) {
    const lines = piece.split(/(?<=\n)/).filter((line) => /^\d+ \d+\n$/.test(line));
    const first = lines.length === 0 ? next : all.indexOf(lines[0]!);
    assert.ok(index === 0 ? first === next : first >= next, `${where}: ${lines[0]} after line ${next}`);
    const other = lines.findIndex((line, place) => line !== all[first + place]);
    assert.equal(other, -1, `${where}: ${lines[other]} is not ${all[first + other]}`);
    next = first + lines.length;
  }
  if (leftOut.test(read)) return "marked";
  return next === all.length ? "whole" : "cut";
}

const homeOf = (machines: string) => join(machines, "volume", "minimal");

/** Agents of one host that share its machine: each builds in a copy of it. */
export class RealAgents implements AsyncDisposable {
  readonly agents: readonly CroftProcess[];
  readonly #directory: string;
  readonly #machines: string;
  readonly #sources: Sources;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    parts: { agents: CroftProcess[]; directory: string; machines: string; sources: Sources },
    stack: AsyncDisposableStack,
  ) {
    this.agents = parts.agents;
    this.#directory = parts.directory;
    this.#machines = parts.machines;
    this.#sources = parts.sources;
    this.#stack = stack;
  }

  static async start(count: number, url: string): Promise<RealAgents> {
    await using stack = new AsyncDisposableStack();
    const { path: directory } = stack.use(await temporaryDirectory("croft-test-agents-"));
    const resources = ["--ram", "262144"];
    const machines = stack.use(await keptMachines("minimal", resources));
    const sources = stack.use(await serveSources());
    // The machine is lent to others afterwards, who know of no copies.
    stack.defer(() => {
      const home = homeOf(machines.path);
      const locks = readdirSync(home).filter((name) => /^minimal-default-\d+\.lock$/.test(name));
      for (const name of locks) rmSync(join(home, name));
    });
    const places = ["tftp", "spool", "runtime"].flatMap((name) => [`--${name}`, join(directory, name)]);
    const common = ["--machines", machines.path, "--toolchain-lock", machines.toolchainLock, ...places];
    const agents: CroftProcess[] = [];
    for (let instance = 1; instance <= count; instance++) {
      const own = ["--instance", String(instance), "--tftp-port", String((await freePort()) - instance)];
      const args = ["agent", "--verbose", "3", ...common, ...resources, "--machine-copies", "auto", ...own];
      const agent = new CroftProcess(
        `agent ${instance}`,
        [...args, `${url}/agent/task`],
        join(directory, `agent-${instance}.log`),
      );
      agents.push(stack.use(agent));
    }
    for (const agent of agents) agent.start();
    return new RealAgents({ agents, directory, machines: machines.path, sources }, stack.move());
  }

  /** Rejects as soon as one of them ends. */
  async failed(): Promise<never> {
    const ends = this.agents.map(async (agent) => {
      const how = await agent.ended();
      return `${agent.name} ended: ${how}\n${readFileSync(agent.log, "utf8").slice(-5000)}`;
    });
    throw new Error(await Promise.race(ends));
  }

  /** Lets them end; nothing of what they did is left. */
  async end(): Promise<void> {
    for (const agent of this.agents) assert.equal(await agent.end("SIGTERM"), 0, agent.name);
    assert.deepEqual(
      readdirSync(homeOf(this.#machines)).filter((name) => /^minimal-default-\d+-/.test(name)),
      [],
      "snapshots",
    );
  }

  /** Makes the source of a build; what to submit. */
  async add(name: string): Promise<object> {
    await packSource(this.#sources, { ".croft/update": update }, `${name}-1.0.tar.gz`);
    const repository = `${this.#sources.url.replace("127.0.0.1", "10.0.2.2")}/`;
    return { name, version: "1.0", type: "pkg", repository, force: true };
  }

  /** What agents still have for controllers. */
  spooled(): string[] {
    const spool = join(this.#directory, "spool");
    return readdirSync(spool).flatMap((instance) =>
      readdirSync(join(spool, instance))
        .filter((name) => /^\d{8}T/.test(name))
        .map((name) => `${instance}/${name}`),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
