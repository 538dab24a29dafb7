/** `croft agent rejected`: what controllers have refused for good, on this host. */
import { existsSync } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { makeCommand } from "../os/command-line/command.ts";
import { addOptions, givenValues, type OptionDeclaration } from "../os/command-line/options.ts";
import { attempt, Failure, UsageFailure } from "../os/failure.ts";
import { namesIn } from "../os/files/directories.ts";
import { syncDirectory } from "../os/files/durable.ts";
import { withoutSecrets } from "../os/network/url.ts";
import { formatBytes } from "../os/text/size.ts";
import { formatTable } from "../os/text/table.ts";
import { printable, TerminalText } from "../os/text/terminal-text.ts";
import { effectiveConfiguration } from "./settings/effective-configuration.ts";
import { settingsOf } from "./settings/settings.ts";
import type { Assignment } from "./task-state/assignment.ts";
import { bytesOf } from "./task-state/spool-size.ts";

const options: readonly OptionDeclaration[] = [
  {
    name: "config",
    kind: "string",
    value: "FILE",
    prose: "configuration of the agents, for the spool's place",
  },
  { name: "spool", kind: "path", value: "DIR", prose: "the spool, instead of the configuration's" },
  { name: "all", kind: "flag", prose: "all of them, for send and drop" },
];

/** An entry that is kept aside. */
interface RejectedEntry {
  name: string;
  /** `T-I`, whose it is. */
  instance: string;
  directory: string;
}

/** The command, a part of `croft agent`. */
export function rejectedCommand(): Command {
  const command = makeCommand(
    "rejected",
    "results that controllers have refused for good: list, show, send, drop",
  );
  command.argument("<list|show|send|drop>", "what to do; send gives it to its agent once more");
  command.argument("[entry...]", "names, as list shows them");
  addOptions(command, options);
  command.action(async (verb: string, names: string[]) => {
    const given = givenValues(command, options);
    const entries = await findEntries(spoolOf(given));
    if (verb === "list") return void process.stdout.write(await table(entries));
    const act = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
    if (!act) throw new UsageFailure(`do '${verb}'`, "expected list, show, send or drop");
    if (names.length === 0 && given["all"] !== true)
      throw new UsageFailure(`${verb} rejected results`, "no entry is named", {
        hints: ["See: croft agent rejected list", ...(verb === "show" ? [] : ["Or give --all."])],
      });
    const chosen = names.length === 0 ? entries : names.map((name) => entryNamed(entries, name));
    for (const entry of chosen) process.stdout.write(await act(entry));
  });
  return command;
}

function spoolOf(given: Record<string, unknown>): string {
  if (typeof given["spool"] === "string") return given["spool"];
  const file = given["config"] as string | undefined;
  const usual = "/etc/croft/agent.yaml";
  const config = file ?? (existsSync(usual) ? usual : undefined);
  const modes = { "print-config": true, ...(config === undefined ? {} : { config }) };
  return settingsOf(effectiveConfiguration(modes, [], config)).spool;
}

/** A spool has files beside the entries. */
const noDirectory = ["ENOENT", "ENOTDIR"];

async function findEntries(spool: string): Promise<RejectedEntry[]> {
  const found: RejectedEntry[] = [];
  for (const instance of await namesIn(spool, noDirectory))
    for (const name of await namesIn(join(spool, instance, "rejected"), noDirectory))
      found.push({ name, instance, directory: join(spool, instance, "rejected", name) });
  return found;
}

function entryNamed(entries: readonly RejectedEntry[], name: string): RejectedEntry {
  const entry = entries.find((one) => one.name === name);
  if (entry) return entry;
  throw new Failure(`find '${name}'`, "no such result is kept aside", {
    hints: ["See: croft agent rejected list"],
  });
}

async function table(entries: readonly RejectedEntry[]): Promise<string> {
  if (entries.length === 0) return "nothing is kept aside\n";
  const rows = [["ENTRY", "AGENT", "SIZE", "TASK", "ANSWER"]];
  for (const { name, instance, directory } of entries) {
    const size = formatBytes(await bytesOf(directory));
    const answer = (await textOf(directory, "answer")).trim().split("\n").slice(0, 2).join(": ");
    rows.push([name, instance, size, await taskOf(directory), printable(answer).slice(0, 80)]);
  }
  return formatTable(rows);
}

async function taskOf(directory: string): Promise<string> {
  const text = (await readAssignment(directory))?.task ?? "";
  const value = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(text)?.[1] ?? "?";
  return printable(`${value("name")}/${value("version")}`);
}

async function readAssignment(directory: string): Promise<Assignment | undefined> {
  try {
    return JSON.parse(await textOf(directory, "assignment.json")) as Assignment;
  } catch {
    return undefined; // it may be what was wrong with the entry
  }
}

function textOf(directory: string, name: string): Promise<string> {
  return readFile(join(directory, name), "utf8").catch(() => "");
}

/** Each does it, and gives what is to be said about it. */
const verbs: Record<string, (entry: RejectedEntry) => Promise<string>> = {
  show: async ({ name, instance, directory }) => {
    const url = (await readAssignment(directory))?.resultUrl;
    const parts = [
      `entry: ${name}\nagent: ${instance}\ndirectory: ${directory}\nresult URL: ${url === undefined ? "none" : withoutSecrets(url)}\n`,
      `answer:\n${(await textOf(directory, "answer")).trimEnd()}\n`,
      `result request:\n${withoutProof(await textOf(directory, "result.manifest"))}`,
    ];
    return `${new TerminalText(false).write(parts.join("\n")).trimEnd()}\n`;
  },
  send: async ({ name, instance, directory }) => {
    if (!existsSync(join(directory, "result.manifest")))
      throw new Failure(`send '${name}'`, "there is no result in it");
    // The agent finds it in its next round; the name is that of a time, so that it is among the first.
    const spool = join(directory, "..", "..");
    const move = async () => {
      for (const note of ["answer", "tried.json"]) await rm(join(directory, note), { force: true });
      await rename(directory, join(spool, name));
      await syncDirectory(spool);
    };
    await attempt(`move '${directory}'`, move());
    return `${name}: agent ${instance} sends it in its next round\n`;
  },
  drop: async ({ name, directory }) => {
    await attempt(`remove '${directory}'`, rm(directory, { recursive: true, force: true }));
    return `${name}: removed\n`;
  },
};

/** Whoever has both may send a result in the agent's name. */
function withoutProof(text: string): string {
  return text.replace(/^(session|challenge): .*$/gm, "$1: ***");
}
