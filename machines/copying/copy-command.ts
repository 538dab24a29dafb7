import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import {
  addOptions,
  givenValues,
  withDefaults,
  type OptionDeclaration,
  type OptionValues,
} from "../../os/command-line/options.ts";
import { Failure, UsageFailure } from "../../os/failure.ts";
import { quote } from "../../os/text/shell-word.ts";
import { formatBytes } from "../../os/text/size.ts";
import { printable } from "../../os/text/terminal-text.ts";
import { existingMachine, interruptible, placeOptions, stepPrinter } from "../image/making-command.ts";
import { revisionPath } from "../layout.ts";
import { readMachineManifest } from "../manifest-files.ts";
import { checkMachineName } from "../names.ts";
import { listRevisions } from "../revisions.ts";
import { Misunderstanding } from "./conversation.ts";
import { openFiles, wrongDisk } from "./files.ts";
import { checkHost, OtherHost } from "./other-host.ts";
import { sendRevision } from "./send.ts";

const copyOptions: readonly OptionDeclaration[] = [
  ...placeOptions.filter(({ name }) => name !== "storage"),
  { name: "revision", kind: "integer", value: "R", prose: "this revision, instead of the current one" },
  {
    name: "to-machines",
    kind: "string",
    value: "DIR",
    prose: "directory with the volumes of machines on the other host; without it, the same as here",
  },
  {
    name: "to-volume",
    kind: "string",
    value: "NAME",
    check: checkMachineName,
    prose: "volume there; without it, the one that has the machine, else the first",
  },
  {
    name: "croft",
    kind: "string",
    value: "COMMAND",
    default: "croft",
    prose: "how croft is called there, in the words of its shell, such as 'sudo croft'",
  },
];

/** The `croft machine copy` command. */
export function copyCommand(): Command {
  const command = makeCommand("copy", "copies the current revision of a machine to another host, by ssh");
  command.argument("<name>", "name of the machine");
  command.argument("<host>", "the other host, as ssh knows it");
  addOptions(command, copyOptions);
  command.addHelpText(
    "after",
    `
Only what the machine's current revision there does not have is sent. It is published there when it is complete, or made
the current one, if it is there already. The host needs croft.`,
  );
  return command.action((name: string, host: string) => copy(name, host, command));
}

async function copy(name: string, host: string, command: Command): Promise<void> {
  const values = withDefaults(givenValues(command, copyOptions), copyOptions);
  const { paths, current } = existingMachine("copy", name, values);
  const action = `copy machine '${name}' to '${host}'`;
  const wrong = checkHost(host);
  if (wrong !== undefined) throw new UsageFailure(action, wrong);
  const number = values["revision"] as number | undefined;
  if (number !== undefined && !listRevisions(paths).includes(number))
    throw new Failure(action, `there is no '${revisionPath(paths, number)}'`);
  const revision = number === undefined ? current : revisionPath(paths, number);
  const manifest = readMachineManifest(paths, revision);
  if (manifest === undefined) throw new Failure(action, `'${revision}' has no manifest`);
  using opened = new DisposableStack();
  const files = openFiles(revision, action, opened);
  for (const file of files) {
    const useless = wrongDisk(file);
    if (useless !== undefined) throw new Failure(action, useless);
  }
  using interruption = interruptible(action);
  const { signal } = interruption;
  const onStep = stepPrinter();
  onStep(`copying ${revision}`);
  await using other = new OtherHost(
    host,
    receiving(values),
    (line) => onStep(`${host}: ${printable(line)}`),
    signal,
  );
  try {
    const sent = await sendRevision(other.conversation, { name, id: manifest.id, files, onStep, signal });
    const { bytesSent, bytesReceived } = other.conversation;
    const traffic = `${formatBytes(bytesSent)} sent, ${formatBytes(bytesReceived)} received`;
    const [all, fresh] = [formatBytes(sent.dataBytes), formatBytes(sent.newBytes)];
    onStep(
      sent.wasThere ? `it was there already; ${traffic}` : `${traffic}: ${fresh} of ${all} were not there`,
    );
    process.stdout.write(`${printable(`${host}:${sent.path}`)}\n`);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Misunderstanding)) throw error;
    throw await other.failureOf(action, error);
  }
}

function receiving(values: OptionValues): string {
  const to = (values["to-machines"] as string | undefined) ?? String(values["machines"]);
  const volume = values["to-volume"] as string | undefined;
  const options = ["--machines", quote(to), ...(volume === undefined ? [] : ["--volume", quote(volume)])];
  return `${String(values["croft"])} machine receive ${options.join(" ")}`;
}
