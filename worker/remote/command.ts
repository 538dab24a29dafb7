/** `croft worker --remote`: the other end of a boss's connection. */
import { type Command, Option } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { UsageFailure } from "../../os/failure.ts";
import { runWorker } from "./run-worker.ts";

/** The command. */
export function workerCommand(): Command {
  return makeCommand(
    "croft worker",
    "build what a boss asks for on standard input, and answer on standard output",
  )
    .option("--remote", "talk with a boss, as 'croft boss' and U-Boot's 'buildman' do")
    .addOption(
      new Option("--work-dir <dir>", "where the repository is").default(undefined, "the current directory"),
    )
    .addOption(
      new Option("--threads <n>", "targets at a time, and jobs in all").default(undefined, "all processors"),
    )
    .addHelpText("after", "\nIt is started by a boss, over ssh; worker/protocol.ts has the messages.")
    .action(async (options: { remote?: true; workDir?: string; threads?: string }) => {
      if (!options.remote)
        throw new UsageFailure("run 'croft worker'", "it must be told for whom", {
          hints: ["See: croft worker --help"],
        });
      await runWorker(options);
    });
}
