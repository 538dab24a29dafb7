import { UsageFailure } from "../os/failure.ts";
import type { OptionValues } from "../os/command-line/options.ts";
import { temporaryDirectory } from "../os/files/temporary.ts";
import type { Host } from "./hosts/hosts.ts";
import { readTrustedProject, type Project } from "./planning/plan.ts";
import { formatHosts } from "./hosts/probe-text.ts";
import { killWorkers, probeHosts } from "./hosts/probe.ts";
import type { SshSettings } from "./hosts/ssh.ts";

/** `croft boss hosts`. @returns the exit status: 1 if a host could not be asked. */
export async function showHosts(values: OptionValues, json: boolean): Promise<number> {
  const project = await readTrustedProject(values, ["hosts", "work-dir", "toolchains"]);
  await using ssh = await sshSettings(values);
  const reports = await probeHosts(hostsOf(project), ssh, project.file.toolchains ?? {});
  process.stdout.write(json ? `${JSON.stringify({ hosts: reports }, undefined, 2)}\n` : formatHosts(reports));
  return reports.some(({ problem }) => problem !== undefined) ? 1 : 0;
}

/** `croft boss kill`. @returns the exit status: 1 if a worker could not be ended. */
export async function killAll(values: OptionValues): Promise<number> {
  const project = await readTrustedProject(values, ["hosts", "work-dir"]);
  await using ssh = await sshSettings(values);
  const ended = await killWorkers(hostsOf(project), ssh);
  for (const { host, text } of ended) process.stdout.write(`${host}: ${text}\n`);
  return ended.some(({ ok }) => !ok) ? 1 : 0;
}

/** @throws {UsageFailure} without any. */
function hostsOf({ hosts }: Project): Host[] {
  if (hosts.length > 0) return hosts;
  throw new UsageFailure("find hosts", "there are none", {
    hints: ["Name some with --hosts, or under `hosts:` in croft.yaml."],
  });
}

/** For short questions. */
export async function sshSettings(values: OptionValues): Promise<SshSettings & AsyncDisposable> {
  const directory = await temporaryDirectory("cb-");
  return {
    controlDirectory: directory.path,
    connectTimeoutSeconds: values["connect-timeout"] as number,
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}
