/** `croft controller backup`: a backup of a controller that runs on this host. */
import { existsSync, statSync } from "node:fs";
import { open, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { makeCommand } from "../../../os/command-line/command.ts";
import { addOptions, givenValues, type OptionDeclaration } from "../../../os/command-line/options.ts";
import { attempt, Failure } from "../../../os/failure.ts";
import { syncDirectory } from "../../../os/files/durable.ts";
import { formatBytes } from "../../../os/text/size.ts";
import type { BackupContents } from "../../backup/reading.ts";
import { placeOptions } from "../place-options.ts";

/** Options of `croft controller backup`. */
const backupOptions: readonly OptionDeclaration[] = placeOptions;

/** The command, a part of `croft controller`. */
export function backupCommand(): Command {
  const command = makeCommand(
    "backup",
    "write a backup of a controller that runs here: database, logs, artifacts",
  );
  command.argument(
    "<place>",
    "a file to be made; a directory, in which it is named by the time; or - for standard output",
  );
  return addOptions(command, backupOptions).action(async (place: string) => {
    const values = givenValues(command, backupOptions);
    const path = place === "-" ? undefined : fileAt(place);
    const { streamFromControl } = await import("../control.ts"); // a controller that starts needs none of it
    const contents = await streamFromControl(values, "/backup", (archive) =>
      path === undefined ? print(archive) : keep(archive, path),
    );
    const { files, bytes } = contents;
    process.stderr.write(
      `croft: backup ${path === undefined ? "written" : `'${path}'`}: ${files} files, ${formatBytes(bytes)}\n`,
    );
  });
}

/** @throws {Failure} if there is something already. */
function fileAt(place: string): string {
  const isDirectory = statSync(place, { throwIfNoEntry: false })?.isDirectory() === true;
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const path = resolve(isDirectory ? join(place, `croft-backup-${time}.tar`) : place);
  if (existsSync(path)) throw new Failure(`write the backup '${place}'`, "it exists already");
  return path;
}

/** Looks at it on its way. It has its name once it is complete and on the disk; until then it ends with `.unfinished`. */
async function keep(archive: AsyncIterable<Uint8Array>, path: string): Promise<BackupContents> {
  const unfinished = `${path}.unfinished`;
  await using stack = new AsyncDisposableStack();
  const action = `write the backup '${path}'`;
  await rm(unfinished, { force: true });
  const file = stack.use(await attempt(action, open(unfinished, "wx", 0o600)));
  stack.defer(() => rm(unfinished, { force: true }));
  const { readBackup } = await import("../../backup/reading.ts");
  const contents = await readBackup(written(archive, file, action), path, async () => {});
  await attempt(action, file.sync());
  await attempt(action, rename(unfinished, path));
  await attempt(action, syncDirectory(dirname(path)));
  return contents;
}

async function* written(
  archive: AsyncIterable<Uint8Array>,
  file: FileHandle,
  action: string,
): AsyncGenerator<Uint8Array> {
  for await (const piece of archive) {
    await attempt(action, file.writeFile(piece)); // goes on where the last one ended
    yield piece;
  }
}

async function print(archive: AsyncIterable<Uint8Array>): Promise<BackupContents> {
  const { readBackup } = await import("../../backup/reading.ts");
  return await readBackup(printed(archive), "-", async () => {});
}

async function* printed(archive: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of archive) {
    await new Promise<void>((done, fail) =>
      process.stdout.write(piece, (error) => (error ? fail(error) : done())),
    );
    yield piece;
  }
}
