/** What `croft boss hosts` and `croft boss kill` ask of hosts: all at once, one short connection each. */
import { reasonOf } from "../../os/failure.ts";
import { firstLine } from "../../os/text/lines.ts";
import { hostArchitecture } from "../matrix/matrix.ts";
import { readVersions, type Compilers } from "./compilers.ts";
import type { Host } from "./hosts.ts";
import { killScript, probeScript } from "./scripts.ts";
import { HostConnection } from "./connection.ts";
import type { SshSettings } from "./ssh.ts";
import { compilersFor } from "./known-toolchains.ts";
import { readToolchains, toolchainScript } from "./toolchains.ts";

const answerTimeoutSeconds = 30;

/** What a host is like; `problem` if it could not be asked. */
export interface HostReport {
  host: string;
  problem?: string;
  architecture?: string;
  threads?: number;
  bogomips?: number;
  /** Load average of the last minute. */
  load?: number;
  freeMemoryMiB?: number;
  freeDiskMiB?: number;
  /** Programs that builds need and that are not there. */
  missingTools?: string[];
  node?: string;
  /** Architectures that there is a compiler for. */
  toolchains?: string[];
  /** `idle`, or which process holds the work directory. */
  worker?: string;
}

/** Asks all hosts at once. */
export function probeHosts(
  hosts: readonly Host[],
  ssh: SshSettings,
  toolchains: Readonly<Record<string, string>>,
): Promise<HostReport[]> {
  return Promise.all(hosts.map((host) => probe(host, ssh, toolchains)));
}

/** Ends what holds the work directories; one line for each host. */
export function killWorkers(
  hosts: readonly Host[],
  ssh: SshSettings,
): Promise<{ host: string; text: string; ok: boolean }[]> {
  return Promise.all(
    hosts.map(async (host) => {
      try {
        const [answer = ""] = await ask(host, ssh, killScript(host.workDirectory));
        const [kind, ...rest] = answer.split(" ");
        if (kind === "none") return { host: host.name, text: "no worker", ok: true };
        if (kind === "killed")
          return { host: host.name, text: `worker ended (process ${rest.join(" ")})`, ok: true };
        const text = kind === "unknown" ? "the lock is held, but not by a worker" : rest.join(" ");
        return { host: host.name, text, ok: false };
      } catch (error) {
        return { host: host.name, text: oneLine(error), ok: false };
      }
    }),
  );
}

/** The compilers of a host; `problem` if it could not be asked. */
export interface ToolchainReport {
  host: string;
  problem?: string;
  /** Architecture to compiler. */
  toolchains: Readonly<Record<string, string>>;
  /** What they say of themselves. */
  versions: Compilers;
}

/** Asks all hosts at once which compilers they have. */
export function probeToolchains(
  hosts: readonly Host[],
  ssh: SshSettings,
  configured: Readonly<Record<string, string>>,
): Promise<ToolchainReport[]> {
  const compilers = compilersFor(configured);
  const script = toolchainScript(compilers, new Set([hostArchitecture, ...Object.keys(compilers)]));
  return Promise.all(
    hosts.map(async (host) => {
      try {
        const answers = await ask(host, ssh, script);
        const toolchains = readToolchains(answers);
        return { host: host.name, toolchains, versions: readVersions(answers) };
      } catch (error) {
        return { host: host.name, problem: oneLine(error), toolchains: {}, versions: {} };
      }
    }),
  );
}

async function probe(
  host: Host,
  ssh: SshSettings,
  toolchains: Readonly<Record<string, string>>,
): Promise<HostReport> {
  try {
    await using connection = new HostConnection(host, ssh);
    const seconds = ssh.connectTimeoutSeconds + answerTimeoutSeconds;
    const found = await connection.evaluate(toolchainScript(compilersFor(toolchains)), seconds);
    const answers = await connection.evaluate(probeScript(host.workDirectory), seconds);
    const facts = new Map(
      (answers.at(-1) ?? "").split(";").map((fact) => {
        const at = fact.indexOf("=");
        return [fact.slice(0, at).replace(/^facts /, ""), fact.slice(at + 1).trim()];
      }),
    );
    return { host: host.name, ...readFacts(facts), toolchains: Object.keys(readToolchains(found)) };
  } catch (error) {
    return { host: host.name, problem: oneLine(error) };
  }
}

function readFacts(facts: ReadonlyMap<string, string>): Partial<HostReport> {
  const number = (name: string) => Number(facts.get(name)) || 0;
  const text = (name: string) => facts.get(name) ?? "";
  return {
    architecture: text("arch"),
    threads: number("threads"),
    bogomips: number("bogomips"),
    load: number("load"),
    freeMemoryMiB: Math.floor(number("memory") / 1024),
    freeDiskMiB: Math.floor(number("disk") / 1024),
    missingTools: text("missing").split(" ").filter(Boolean),
    node: text("node") || "none",
    worker: text("worker"),
  };
}

async function ask(host: Host, ssh: SshSettings, script: string): Promise<string[]> {
  await using connection = new HostConnection(host, ssh);
  return await connection.evaluate(script, ssh.connectTimeoutSeconds + answerTimeoutSeconds);
}

function oneLine(error: unknown): string {
  return firstLine(reasonOf(error));
}
