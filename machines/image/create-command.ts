import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { Failure, UsageFailure } from "../../os/failure.ts";
import { makeLog } from "../../os/log.ts";
import {
  addOptions,
  givenValues,
  withDefaults,
  type OptionDeclaration,
} from "../../os/command-line/options.ts";
import { packageFile } from "../../os/files/package.ts";
import { checkMachineName } from "../names.ts";
import { openStorage } from "../open-storage.ts";
import type { StorageKind } from "../storage.ts";

const diskGiB = { minimal: 1, debian: 8 };

/** Options of `croft machine create`. */
const createOptions: readonly OptionDeclaration[] = [
  {
    name: "machines",
    kind: "path",
    value: "DIR",
    default: "/build/machines",
    prose: "directory with the volumes of machines",
  },
  {
    name: "volume",
    kind: "string",
    value: "NAME",
    check: checkMachineName,
    prose: "volume for the machine; without it, the one that has the machine, else the first",
  },
  {
    name: "storage",
    kind: "choice",
    choices: ["auto", "btrfs", "directory"],
    default: "auto",
    prose: "how machines are stored",
  },
  {
    name: "minimal",
    kind: "flag",
    prose: "only a kernel and busybox, instead of a Debian with compilers and build tools",
  },
  {
    name: "release",
    kind: "string",
    value: "NAME",
    default: "bookworm",
    check: (name) => (/^[a-z]+$/.test(name) ? undefined : "expected a code name of Debian"),
    prose: "code name of the Debian release",
  },
  {
    name: "include",
    kind: "string",
    value: "PACKAGES",
    repeat: true,
    check: checkPackages,
    prose: "further packages, separated by commas; in a minimal machine unpacked, with what they need",
  },
  {
    name: "disk-size",
    kind: "integer",
    value: "GIB",
    minimum: 1,
    maximum: 1024,
    prose:
      "size of the disk in GiB, taken from the host only as it is written; default 8, or 1 for a minimal one",
  },
  { name: "summary", kind: "string", value: "TEXT", prose: "one line that describes the machine" },
];

/** The `croft machine create` command. */
export function createCommand(): Command {
  const command = makeCommand("create", "makes a machine, or a new revision of one, from Debian packages");
  command.argument("<name>", "name of the machine");
  addOptions(command, createOptions);
  command.addHelpText(
    "after",
    `
The packages come from where this host gets its own, mirror and proxy included. The machine starts croft-init
as its first process and no systemd: that saves 20 s of each boot where processors are emulated.`,
  );
  command.action((name: string) => create(name, command));
  return command;
}

async function create(name: string, command: Command): Promise<void> {
  const values = withDefaults(givenValues(command, createOptions), createOptions);
  const wrong = checkMachineName(name);
  if (wrong !== undefined) throw new UsageFailure(`make machine '${name}'`, wrong);
  const { createMachine, makeMachinesDirectory } = await import("./create-machine.ts");
  const kind = values["minimal"] ? "minimal" : "debian";
  const release = String(values["release"]);
  const include = (values["include"] as string[]).flatMap((list) => list.split(","));
  const machines = String(values["machines"]);
  const volume = values["volume"] as string | undefined;
  const log = makeLog();
  await makeMachinesDirectory(machines);
  const storage = await openStorage(machines, values["storage"] as "auto" | StorageKind, log);
  using interruption = interruptible(name);
  const revision = await createMachine({
    ...{ kind, release, include, name, machines, storage },
    summary: (values["summary"] as string | undefined) ?? describe(kind, release),
    ...(volume !== undefined && { volume }),
    diskMiB: ((values["disk-size"] as number | undefined) ?? diskGiB[kind]) * 1024,
    init: packageFile("worker", "guest", "croft-init"),
    onStep: stepPrinter(),
    signal: interruption.signal,
  });
  process.stdout.write(`${revision}\n`);
}

function describe(kind: "minimal" | "debian", release: string): string {
  return kind === "minimal"
    ? `Linux of Debian ${release} with busybox`
    : `Debian ${release} with build tools`;
}

/** Prints each step with the seconds since the beginning, on standard error: standard output has the result alone. */
function stepPrinter(): (step: string) => void {
  const begin = performance.now();
  return (step) => {
    const seconds = Math.floor((performance.now() - begin) / 1000);
    process.stderr.write(`${String(seconds).padStart(4)} s  ${step}\n`);
  };
}

/** While it is held, a signal that would end the process aborts the work instead, so that it cleans up. */
function interruptible(name: string): Disposable & { signal: AbortSignal } {
  const controller = new AbortController();
  const signals: NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];
  const onSignal = (signal: NodeJS.Signals) =>
    controller.abort(
      new Failure(`make machine '${name}'`, `interrupted by ${signal}; nothing is left of it`, {
        exitStatus: 130,
      }),
    );
  for (const signal of signals) process.on(signal, onSignal);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}

function checkPackages(list: string): string | undefined {
  const wrong = list.split(",").find((name) => !/^[a-z0-9][a-z0-9+.-]*(:[a-z0-9-]+)?$/.test(name));
  return wrong === undefined ? undefined : `'${wrong}' is not the name of a package`;
}
