/** `croft machine resume|kill|console`: what an operator does with a machine that runs, or is held as evidence. */
import { join } from "node:path";
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { Failure, assertFailure } from "../../os/failure.ts";
import {
  addOptions,
  givenValues,
  withDefaults,
  type OptionDeclaration,
} from "../../os/command-line/options.ts";
import { attachConsole } from "./console-client.ts";
import { checkToolchainName } from "../names.ts";
import {
  consoleSocket,
  controlVirtualMachine,
  MonitorInUse,
  operatorSocket,
  queryVirtualMachine,
} from "../qemu/runtime-files.ts";
import {
  defaultRuntime,
  listInstances,
  listSuspensions,
  readSuspension,
  type Suspension,
} from "../runtime-directory.ts";

export const runtimeOption: OptionDeclaration = {
  name: "runtime",
  kind: "string",
  value: "DIR",
  prose: "runtime directory of the agents, by default /run/croft, or croft in $XDG_RUNTIME_DIR",
};

/** Options of `croft machine resume`, `kill` and `console`. */
const operatorOptions: readonly OptionDeclaration[] = [
  {
    name: "toolchain-name",
    kind: "string",
    value: "NAME",
    check: checkToolchainName,
    prose: "toolchain of the machine; needed only if it runs for several",
  },
  runtimeOption,
];

/** A machine that runs now, or stands still. */
interface Found {
  /** `<T>-<I>`. */
  instance: string;
  directory: string;
  machine: string;
  runs: boolean;
  held: Suspension | undefined;
}

export function resumeCommand(): Command {
  return operatorCommand("resume", "lets a suspended machine run on", async (found) => {
    assertHeld("resume", found);
    if (found.runs)
      throw new Failure(`resume machine '${found.machine}'`, "it runs already", {
        hints: [`Look into it: croft machine console ${found.machine}`],
      });
    await controlVirtualMachine(found.directory, "resume");
    process.stdout.write(
      `machine ${found.machine} runs on, until it ends or is ended with: croft machine kill ${found.machine}\n`,
    );
  });
}

export function killCommand(): Command {
  return operatorCommand("kill", "ends a machine that is held, and lets its agent go on", async (found) => {
    assertHeld("kill", found);
    await controlVirtualMachine(found.directory, "kill");
    process.stdout.write(`machine ${found.machine} has ended\n`);
  });
}

export function consoleCommand(): Command {
  return operatorCommand(
    "console",
    "connects this terminal to the console of a machine that runs or is suspended",
    async (found) => {
      const path = consoleSocket(found.directory);
      if (path === undefined)
        throw new Failure(`attach to machine '${found.machine}'`, "the path of its console is too long");
      const notes = found.runs
        ? []
        : [`It is suspended: what you type waits until: croft machine resume ${found.machine}`];
      await attachConsole(found.machine, path, notes);
    },
  );
}

function operatorCommand(name: string, summary: string, action: (found: Found) => Promise<void>): Command {
  const command = addOptions(makeCommand(name, summary), operatorOptions);
  command.argument("<name>", "name of the machine, or of the instance that runs it, e.g. default-1");
  return command.action(async (machine: string) => {
    const values = withDefaults(givenValues(command, operatorOptions), operatorOptions);
    const root = (values["runtime"] as string | undefined) ?? defaultRuntime();
    await action(await find(name, root, machine, values["toolchain-name"] as string | undefined));
  });
}

/** @throws {Failure} unless there is exactly one. */
async function find(verb: string, root: string, name: string, toolchain: string | undefined): Promise<Found> {
  const action = `${verb} machine '${name}'`;
  const { all, inUse } = await runningMachines(root);
  const wanted = all.filter(
    ({ machine, instance }) =>
      (machine === name || instance === name) &&
      (toolchain === undefined || instance.slice(0, instance.lastIndexOf("-")) === toolchain),
  );
  if (wanted.length > 1)
    throw new Failure(action, `several of it run: ${names(wanted)}`, {
      hints: ["Name the instance instead of the machine, e.g. " + wanted[0]!.instance],
    });
  const [found] = wanted;
  if (found) return found;
  if (inUse) throw inUse; // it may be the one that is asked for
  throw new Failure(action, `no such machine runs or is suspended in '${root}'`, {
    hints: [
      all.length > 0
        ? `There are: ${all.map(({ machine, instance }) => `${machine} (instance ${instance})`).join(", ")}`
        : "None runs there. Do the agents have another --runtime, or do you need to be their user?",
    ],
  });
}

/** Asks each instance that has a machine; one that ends meanwhile has none. */
async function runningMachines(root: string): Promise<{ all: Found[]; inUse: MonitorInUse | undefined }> {
  const found: Found[] = [];
  let inUse: MonitorInUse | undefined;
  for (const instance of listInstances(root)) {
    const directory = join(root, instance);
    if (operatorSocket(directory) === undefined) continue;
    try {
      const { name, runs } = await queryVirtualMachine(directory);
      const machine = name.endsWith(`-${instance}`) ? name.slice(0, -instance.length - 1) : name;
      found.push({ instance, directory, machine, runs, held: readSuspension(directory) });
    } catch (error) {
      assertFailure(error);
      if (error instanceof MonitorInUse) inUse = error;
    }
  }
  return { all: found, inUse };
}

/** A machine that is held for the operator; it runs if it was resumed. */
export type HeldMachine = Suspension & { runs: boolean };

/** Those of all instances; whose monitor does not answer stands still, as far as is known. */
export async function heldMachines(root: string): Promise<HeldMachine[]> {
  return Promise.all(
    listSuspensions(root).map(async (held) => {
      const asked = queryVirtualMachine(join(root, held.directory ?? `${held.toolchain}-${held.instance}`));
      const { runs } = await asked.catch((error: unknown) => (assertFailure(error), { runs: false }));
      return { ...held, runs };
    }),
  );
}

/** A machine at work is its agent's: its task would be lost. */
function assertHeld(verb: string, { machine, held }: Found): void {
  if (held) return;
  throw new Failure(`${verb} machine '${machine}'`, "it is not suspended: it is at work", {
    hints: [
      `Look at it: croft machine console ${machine}`,
      "A task is ended by cancelling its build, or by stopping its agent.",
    ],
  });
}

function names(found: readonly Found[]): string {
  return found.map(({ instance }) => `${instance}`).join(", ");
}
