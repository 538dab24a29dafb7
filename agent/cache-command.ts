/** `croft agent cache`: what builds find of earlier ones, on this host. */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { makeCommand } from "../os/command-line/command.ts";
import {
  addOptions,
  givenValues,
  type OptionDeclaration,
  type OptionValues,
} from "../os/command-line/options.ts";
import { UsageFailure } from "../os/failure.ts";
import { withoutSecrets } from "../os/network/url.ts";
import { formatDuration } from "../os/text/duration.ts";
import { formatBytes } from "../os/text/size.ts";
import { formatTable } from "../os/text/table.ts";
import { printable } from "../os/text/terminal-text.ts";
import { prune, versionsIn, type CacheVersion } from "./caches/versions.ts";
import { effectiveConfiguration } from "./settings/effective-configuration.ts";
import { settingsOf } from "./settings/settings.ts";

const options: readonly OptionDeclaration[] = [
  {
    name: "config",
    kind: "string",
    value: "FILE",
    prose: "configuration of the agents, for the place of the caches and the room that they may take",
  },
  {
    name: "cache-directory",
    kind: "path",
    value: "DIR",
    prose: "directory of the caches, instead of the configuration's",
  },
  {
    name: "unused",
    kind: "integer",
    value: "DAYS",
    minimum: 0,
    maximum: 36_500,
    prose: "for prune: those that no build has used for so long, besides what is over the limit",
  },
];

/** The command, a part of `croft agent`. */
export function cacheCommand(): Command {
  const command = makeCommand("cache", "caches of builds on this host: list them, prune them");
  command.argument("<list|prune>", "what to do; prune removes those that were used the longest ago");
  addOptions(command, options);
  command.action(async (verb: string) => {
    const given = givenValues(command, options);
    const { directory, maxBytes } = placeOf(given);
    if (verb === "list") process.stdout.write(table(await versionsIn(directory)));
    else if (verb === "prune") process.stdout.write(await pruned(directory, maxBytes, given));
    else throw new UsageFailure(`do '${verb}'`, "expected list or prune");
  });
  return command;
}

function placeOf(given: OptionValues): { directory: string; maxBytes: number } {
  const usual = "/etc/croft/agent.yaml";
  const config = (given["config"] as string | undefined) ?? (existsSync(usual) ? usual : undefined);
  const modes = { "print-config": true, ...(config === undefined ? {} : { config }) };
  const settings = settingsOf(effectiveConfiguration(modes, [], config));
  const directory = (given["cache-directory"] as string | undefined) ?? settings.cacheDirectory;
  return { directory, maxBytes: settings.cacheMaxBytes };
}

async function pruned(directory: string, maxBytes: number, given: OptionValues): Promise<string> {
  const days = given["unused"] as number | undefined;
  const oldest = days === undefined ? 0 : Date.now() - days * 86_400_000;
  const removed = await prune(
    directory,
    ({ bytes, usedAt }, others) => others + bytes <= maxBytes && usedAt.getTime() >= oldest,
  );
  const bytes = removed.reduce((sum, version) => sum + version.bytes, 0);
  return `removed: ${removed.length}, ${formatBytes(bytes)}\n`;
}

function table(versions: readonly CacheVersion[]): string {
  if (versions.length === 0) return "there are no caches\n";
  const total = versions.reduce((sum, { bytes }) => sum + bytes, 0);
  const rows = versions.map(({ cache, owner, bytes, usedAt }) => [
    cache,
    printable(owner?.package ?? "?"),
    formatBytes(bytes),
    `${formatDuration((Date.now() - usedAt.getTime()) / 1000)} ago`,
    printable(withoutSecrets(owner?.repository ?? "?")) + (owner?.isSecret ? " (with secrets)" : ""),
  ]);
  const head = ["CACHE", "PACKAGE", "SIZE", "USED", "REPOSITORY"];
  return `${formatTable([head, ...rows])}\n${versions.length} caches, ${formatBytes(total)}\n`;
}
