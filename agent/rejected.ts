/** `croft agent rejected`: what controllers have refused for good, on this host. */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { makeCommand } from "../os/command-line/command.ts";
import { addOptions, givenValues, type OptionDeclaration } from "../os/command-line/options.ts";
import { Failure, UsageFailure } from "../os/failure.ts";
import { withoutSecrets } from "../os/network/url.ts";
import { formatBytes } from "../os/text/size.ts";
import { formatTable } from "../os/text/table.ts";
import { printable, TerminalText } from "../os/text/terminal-text.ts";
import { effectiveConfiguration } from "./settings/effective-configuration.ts";
import { settingsOf } from "./settings/settings.ts";
import { rejectedEntries, type RejectedEntry } from "./task-state/rejected-entry.ts";
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
    const entries = await rejectedEntries(spoolOf(given));
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
  for (const entry of entries) {
    const size = formatBytes(await bytesOf(entry.directory));
    const answer = (await entry.answer()).trim().split("\n").slice(0, 2).join(": ");
    rows.push([entry.name, entry.instance, size, await taskOf(entry), printable(answer).slice(0, 80)]);
  }
  return formatTable(rows);
}

async function taskOf(entry: RejectedEntry): Promise<string> {
  const text = (await entry.assignment())?.task ?? "";
  const value = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(text)?.[1] ?? "?";
  return printable(`${value("name")}/${value("version")}`);
}

/** Each does it, and gives what is to be said about it. */
const verbs: Record<string, (entry: RejectedEntry) => Promise<string>> = {
  show: async (entry) => {
    const { name, instance, directory } = entry;
    const url = (await entry.assignment())?.resultUrl;
    const parts = [
      `entry: ${name}\nagent: ${instance}\ndirectory: ${directory}\nresult URL: ${url === undefined ? "none" : withoutSecrets(url)}\n`,
      `answer:\n${(await entry.answer()).trimEnd()}\n`,
      `result request:\n${withoutProof((await entry.result()) ?? "")}`,
    ];
    return `${new TerminalText(false).write(parts.join("\n")).trimEnd()}\n`;
  },
  send: async (entry) => {
    if (!entry.hasResult) throw new Failure(`send '${entry.name}'`, "there is no result in it");
    await entry.putBack();
    return `${entry.name}: agent ${entry.instance} sends it in its next round\n`;
  },
  drop: async (entry) => {
    await entry.remove();
    return `${entry.name}: removed\n`;
  },
};

/** Whoever has both may send a result in the agent's name. */
function withoutProof(text: string): string {
  return text.replace(/^(session|challenge): .*$/gm, "$1: ***");
}
