/** `croft controller restore`: makes a data directory of a backup. */
import { createReadStream } from "node:fs";
import type { Command } from "commander";
import { makeCommand } from "../../../os/command-line/command.ts";
import { addOptions, givenValues, type OptionDeclaration } from "../../../os/command-line/options.ts";
import { formatBytes } from "../../../os/text/size.ts";
import { placeOptions } from "../place-options.ts";
import { secretsKeyFile } from "../../secrets/key.ts";

/** Options of `croft controller restore`. */
const restoreOptions: readonly OptionDeclaration[] = placeOptions;

/** The command, a part of `croft controller`. */
export function restoreCommand(): Command {
  const command = makeCommand(
    "restore",
    "make a data directory of a backup, for a controller that is started then",
  );
  command.argument("<file>", "the backup; - for standard input");
  return addOptions(command, restoreOptions).action(async (file: string) => {
    process.umask(0o077);
    const { configurationOf } = await import("../control.ts"); // a controller that starts needs none of it
    const { data, secretsKey } = await configurationOf(givenValues(command, restoreOptions));
    const { restore } = await import("../../backup/restore.ts");
    const archive = file === "-" ? process.stdin : createReadStream(file);
    const { head, files, bytes, builds, missing } = await restore(archive, file, data);
    const storage = head.storage === "directory" ? "" : `; logs and artifacts are in ${head.storage}`;
    const said = [
      `restored '${data}' as it was on ${head.madeAt}: ${builds} builds, ${files} files, ${formatBytes(bytes)}${storage}`,
      ...(missing > 0 ? [`${missing} logs or artifacts were missing before already`] : []),
      `If builds have secrets, put their key back, which is in no backup: ${secretsKeyFile(secretsKey, data)}`,
    ];
    process.stdout.write(`${said.join("\n")}\n`);
  });
}
