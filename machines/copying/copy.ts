/** Copying a machine to another host: what `croft machine copy` does. */
import { type OptionValues } from "../../os/command-line/options.ts";
import { Failure, UsageFailure } from "../../os/failure.ts";
import { quote } from "../../os/text/shell-word.ts";
import { formatBytes } from "../../os/text/size.ts";
import { printable } from "../../os/text/terminal-text.ts";
import { existingMachine, interruptible, stepPrinter } from "../image/making-command.ts";
import { revisionPath } from "../layout.ts";
import { readMachineManifest } from "../manifest-files.ts";
import { listRevisions } from "../revisions.ts";
import { Misunderstanding } from "./conversation.ts";
import { openFiles, wrongDisk } from "./files.ts";
import { checkHost, OtherHost } from "./other-host.ts";
import { sendRevision } from "./send.ts";

/**
 * Copies a machine's revision to another host, and tells how that goes.
 *
 * @param host as ssh knows it.
 * @param values of the command's options.
 * @throws {Failure}
 */
export async function copyMachine(name: string, host: string, values: OptionValues): Promise<void> {
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
