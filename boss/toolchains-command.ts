/** `croft boss toolchains`: which compilers hosts have, where those that they lack can be had, and getting them. */
import { UsageFailure } from "../os/failure.ts";
import type { OptionValues } from "../os/command-line/options.ts";
import { formatTable } from "../os/text/table.ts";
import { printable } from "../os/text/terminal-text.ts";
import { hostCompiler } from "./hosts/compilers.ts";
import type { Host } from "./hosts/hosts.ts";
import { compilersFor, knownToolchain } from "./hosts/known-toolchains.ts";
import { probeToolchains, type ToolchainReport } from "./hosts/probe.ts";
import type { SshSettings } from "./hosts/ssh.ts";
import { archiveName, archivesUrl, fetchToolchain } from "./hosts/toolchain-archives.ts";
import { sshSettings } from "./hosts-command.ts";
import { hostArchitecture } from "./matrix/matrix.ts";
import { localHost, readTrustedProject } from "./planning/plan.ts";
import { wordsOf } from "./planning/settings-options.ts";

/** @returns the exit status: 1 if a host could not be asked, or has not got a compiler that was to be fetched. */
export async function showToolchains(values: OptionValues): Promise<number> {
  const project = await readTrustedProject(values, ["hosts", "work-dir", "toolchains"]);
  const hosts = [...project.hosts, localHost(project, undefined)];
  const configured = project.file.toolchains ?? {};
  const known = Object.keys(compilersFor(configured));
  const wanted = wordsOf(values, "fetch-toolchains");
  const unknown = wanted.find((each) => !known.includes(each));
  if (unknown !== undefined)
    throw new UsageFailure(`fetch a compiler for '${unknown}'`, `there are ${known.join(", ")}`);
  await using ssh = await sshSettings(values);
  let reports = await probeToolchains(hosts, ssh, configured);
  let failures: string[] = [];
  if (wanted.length > 0) {
    const url = (values["toolchain-mirror"] as string | undefined) ?? archivesUrl;
    failures = await fetchMissing(hosts, reports, wanted, ssh, url.replace(/\/+$/, ""));
    reports = await probeToolchains(hosts, ssh, configured);
  }
  const json = values["json"] === true;
  process.stdout.write(
    json ? `${JSON.stringify(asJson(reports, known), undefined, 2)}\n` : asText(reports, known),
  );
  for (const line of failures) process.stderr.write(`${printable(line)}\n`);
  return failures.length > 0 || reports.some(({ problem }) => problem !== undefined) ? 1 : 0;
}

async function fetchMissing(
  hosts: readonly Host[],
  reports: readonly ToolchainReport[],
  wanted: readonly string[],
  ssh: SshSettings,
  url: string,
): Promise<string[]> {
  const lines = await Promise.all(
    reports.map(async ({ host, problem, toolchains }, at) => {
      if (problem !== undefined) return [];
      const failed: string[] = [];
      for (const architecture of wanted.filter((each) => !Object.hasOwn(toolchains, each))) {
        process.stderr.write(`${host}: fetching a compiler for ${architecture}\n`);
        const reason = await fetchToolchain(hosts[at]!, ssh, architecture, url);
        if (reason !== undefined) failed.push(`host ${host}: no compiler for ${architecture}: ${reason}`);
      }
      return failed;
    }),
  );
  return lines.flat();
}

/** Architectures that some host has no compiler for, and which hosts these are. */
function missingIn(reports: readonly ToolchainReport[], known: readonly string[]) {
  const asked = reports.filter(({ problem }) => problem === undefined);
  return known.flatMap((architecture) => {
    const hosts = asked.filter(({ toolchains }) => !Object.hasOwn(toolchains, architecture));
    return hosts.length > 0 ? [{ architecture, hosts: hosts.map(({ host }) => host) }] : [];
  });
}

function asJson(reports: readonly ToolchainReport[], known: readonly string[]) {
  const missing = missingIn(reports, known).map(({ architecture, hosts }) => ({
    ...{ architecture, hosts },
    debian: knownToolchain(architecture).debian ?? null,
    archive: archiveName(architecture) ?? null,
  }));
  return { hosts: reports, missing };
}

function asText(reports: readonly ToolchainReport[], known: readonly string[]): string {
  const rows = reports.flatMap(({ host, problem, toolchains, versions }) => {
    if (problem !== undefined) return [[host, `(${problem})`]];
    const own = versions[hostArchitecture];
    return [
      ...(own === undefined ? [] : [[host, hostArchitecture, hostCompiler, own]]),
      ...Object.entries(toolchains).map(([arch, path]) => [host, arch, path, versions[arch] ?? ""]),
    ];
  });
  const lacking = missingIn(reports, known).map(({ architecture, hosts }) => {
    const where = hosts.length === reports.length ? "all" : hosts.join(" ");
    const { debian = "-" } = knownToolchain(architecture);
    return [architecture, where, debian, archiveName(architecture) ?? "-"];
  });
  const tables = [
    formatTable([["host", "arch", "compiler", "version"], ...rows].map((row) => row.map(printable))),
  ];
  if (lacking.length > 0)
    tables.push(
      formatTable([["missing", "on hosts", "Debian package", "archive of kernel.org"], ...lacking]),
      `--fetch-toolchains ARCH,… gets archives of ${archivesUrl}\n`,
    );
  return tables.join("\n");
}
