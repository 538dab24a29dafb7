/** The `croft` command: a table of subcommands, each loaded only when it is called. */
import type { Command } from "commander";
import { endOnBugs, makeCommand, runCommand } from "../os/command-line/command.ts";
import { nearestWord } from "../os/command-line/nearest.ts";
import { UsageFailure } from "../os/failure.ts";
import { packageVersion } from "../os/files/package.ts";

const subcommands: Record<string, { summary: string; load: () => Promise<Command> }> = {
  agent: {
    summary: "poll controllers for tasks and perform each in a clean virtual machine",
    load: async () => (await import("../agent/command.ts")).agentCommand(),
  },
  controller: {
    summary: "give agents their tasks and people their results: server, queue, dashboard",
    load: async () => (await import("../controller/command.ts")).controllerCommand(),
  },
  doctor: {
    summary: "check whether this host has what an agent needs",
    load: async () => (await import("../agent/doctor/command.ts")).doctorCommand(),
  },
  submit: {
    summary: "queue a build at a controller; wait for it, follow its log",
    load: async () => (await import("../controller/client/submit.ts")).submitCommand(),
  },
  builds: {
    summary: "list a controller's builds",
    load: async () => (await import("../controller/client/builds.ts")).buildsCommand(),
  },
  log: {
    summary: "print or follow the log of a build",
    load: async () => (await import("../controller/client/builds.ts")).logCommand(),
  },
  cancel: {
    summary: "cancel a build",
    load: async () => (await import("../controller/client/builds.ts")).cancelCommand(),
  },
  rebuild: {
    summary: "queue a build again",
    load: async () => (await import("../controller/client/builds.ts")).rebuildCommand(),
  },
  boss: {
    summary: "build a matrix of targets and commits on many hosts, by ssh",
    load: async () => (await import("../boss/command.ts")).bossCommand(),
  },
  machine: {
    summary: "make, list, show and remove build machines; look into those that run or are suspended",
    load: async () => (await import("../machines/commands/command.ts")).machineCommand(),
  },
  worker: {
    summary: "build what a boss asks for over ssh",
    load: async () => (await import("../worker/remote/command.ts")).workerCommand(),
  },
  manifest: {
    summary: "look at manifests, and make them",
    load: async () => (await import("./manifest.ts")).manifestCommand(),
  },
};

endOnBugs();
// Whoever reads our output may have enough of it (`croft … | head`).
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  throw error;
});

const [name, ...args] = asked(process.argv.slice(2));
const subcommand = name !== undefined && Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
process.exitCode = subcommand
  ? await runCommand(await subcommand.load(), args)
  : await runCommand(overview(), name === undefined ? [] : [name, ...args]);

/** `croft help COMMAND…` asks for what `croft COMMAND… --help` tells. */
function asked(given: readonly string[]): readonly string[] {
  return given[0] === "help" ? [...given.slice(1), "--help"] : given;
}

function overview(): Command {
  const croft = makeCommand("croft", "a build farm: clean virtual machines, results that are never lost");
  croft.version(packageVersion).usage("COMMAND [OPTIONS]").helpCommand(false);
  for (const [command, { summary }] of Object.entries(subcommands))
    croft.command(command).description(summary);
  croft.addHelpText("after", "\nEach command explains itself: croft help COMMAND, or croft COMMAND --help");
  croft.argument("[command]").action((unknown?: string) => {
    if (unknown === undefined) return croft.help({ error: true });
    const meant = nearestWord(unknown, Object.keys(subcommands));
    throw new UsageFailure(`run 'croft ${unknown}'`, "there is no such command", {
      hints: [meant === undefined ? "See: croft --help" : `Did you mean: croft ${meant}`],
    });
  });
  return croft;
}
