/** `croft controller migrate`: moves a controller from its embedded database to a PostgreSQL server. */
import type { Command } from "commander";
import { makeCommand } from "../../../os/command-line/command.ts";
import { addOptions, givenValues } from "../../../os/command-line/options.ts";
import { UsageFailure } from "../../../os/failure.ts";
import { makeLog } from "../../../os/log.ts";
import { placeOptions } from "../place-options.ts";

/** The command, a part of `croft controller`. */
export function migrateCommand(): Command {
  const command = makeCommand(
    "migrate",
    "move a stopped controller from its embedded database to the PostgreSQL server of its configuration",
  );
  return addOptions(command, placeOptions).action(async () => {
    process.umask(0o077);
    const { configurationOf } = await import("../control.ts"); // a controller that starts needs none of it
    const configuration = await configurationOf(givenValues(command, placeOptions));
    if (configuration.database === "embedded")
      throw new UsageFailure("move to a database server", "the configuration names none", {
        hints: ["Set 'database: postgres://…' in the configuration first, and name that with --config."],
      });
    const { moveToServer } = await import("../../backup/move-to-server.ts");
    const { rows, liveLogs, blobs } = await moveToServer(
      configuration,
      makeLog({ format: "terminal", verbosity: 1 }),
    );
    const counts = Object.entries(rows).map(([table, count]) => `  ${table.padEnd(20)} ${count}`);
    const said = [
      "Moved, rows by table:",
      ...counts,
      `  ${"live logs".padEnd(20)} ${liveLogs}`,
      ...(blobs > 0 ? [`  ${"logs and artifacts".padEnd(20)} ${blobs}`] : []),
      `Start the controller again. '${configuration.data}/database' is as it was: remove it once all is well.`,
    ];
    process.stdout.write(`${said.join("\n")}\n`);
  });
}
