/** What the commands that make machines have in common. */
import { Failure, UsageFailure } from "../../os/failure.ts";
import { isAuxiliaryName } from "../../manifests/machine.ts";
import type { OptionDeclaration, OptionValues } from "../../os/command-line/options.ts";
import { packageFile } from "../../os/files/package.ts";
import { printable } from "../../os/text/terminal-text.ts";
import { makeLog } from "../../os/log.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { currentRevision, listMachines, type MachinePaths } from "../layout.ts";
import { checkMachineName } from "../names.ts";
import { openStorage } from "../open-storage.ts";
import type { StorageKind } from "../storage.ts";
import type { CreateMachineOptions } from "./create-machine.ts";

/** Where machines are, for commands that make them. */
export const placeOptions: readonly OptionDeclaration[] = [
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
    prose: "volume of the machine; without it, the one that has the machine, else the first",
  },
  {
    name: "storage",
    kind: "choice",
    choices: ["auto", "btrfs", "directory"],
    default: "auto",
    prose: "how machines are stored",
  },
];

/**
 * What a machine is for.
 *
 * @param by the option that brings the program of an auxiliary machine.
 */
export function roleOption(by: string): OptionDeclaration {
  return {
    name: "role",
    kind: "choice",
    choices: ["build", "auxiliary"],
    default: "build",
    prose: "what the machine is for: building, or serving the builds of others (auxiliary)",
    details: `An auxiliary machine has a program \`/etc/croft/auxiliary\`, which \`${by}\` puts there: it starts the services, and returns once they are up. Its name has a dash, \`SYSTEM-SERVICE\`.`,
  };
}

/** @throws {Failure} if an auxiliary machine with the name would be offered to nobody. */
export function assertAuxiliaryName(action: string, name: string): void {
  if (isAuxiliaryName(name)) return;
  throw new Failure(`${action} auxiliary machine '${name}'`, "the name of an auxiliary machine has a dash", {
    hints: ["Name it by its system and its service, such as debian_12-postgresql_15."],
  });
}

/** @throws {UsageFailure} if a machine cannot have the name. */
export function assertMachineName(action: string, name: string): void {
  const wrong = checkMachineName(name);
  if (wrong !== undefined) throw new UsageFailure(`${action} machine '${name}'`, wrong);
}

/**
 * A machine that there is, and its current revision.
 *
 * @throws {Failure} if there is none.
 */
export function existingMachine(
  action: string,
  name: string,
  values: OptionValues,
): { paths: MachinePaths; current: string } {
  assertMachineName(action, name);
  const machines = String(values["machines"]);
  const volume = values["volume"] as string | undefined;
  const paths = listMachines(machines, "none").find(
    (each) => each.name === name && (volume === undefined || each.volume === volume),
  );
  const current = paths && currentRevision(paths);
  if (!paths || current === undefined)
    throw new Failure(`${action} machine '${name}'`, `there is none in '${machines}'`, {
      hints: ["See: croft machine list"],
    });
  return { paths, current };
}

/** The place of a machine, who is told of its making, and what interrupts that. */
export async function makingOptions(
  name: string,
  values: OptionValues,
  signal: AbortSignal,
): Promise<Omit<CreateMachineOptions, "recipe">> {
  const machines = String(values["machines"]);
  return {
    ...{ name, machines, signal, onStep: stepPrinter() },
    ...withoutUndefined({ volume: values["volume"] as string | undefined }),
    storage: await openStorage(machines, values["storage"] as "auto" | StorageKind, makeLog()),
    init: packageFile("worker", "guest", "croft-init"),
    onOutput: (line) => {
      process.stderr.write(`        | ${printable(line)}\n`);
    },
  };
}

/** Prints each step with the seconds since the beginning, on standard error: standard output has the result alone. */
export function stepPrinter(): (step: string) => void {
  const begin = performance.now();
  return (step) => {
    const seconds = Math.floor((performance.now() - begin) / 1000);
    process.stderr.write(`${String(seconds).padStart(4)} s  ${step}\n`);
  };
}

/** While it is held, a signal that would end the process aborts the work instead, so that it cleans up. */
export function interruptible(action: string): Disposable & { signal: AbortSignal } {
  const controller = new AbortController();
  const signals: NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];
  const onSignal = (signal: NodeJS.Signals) =>
    controller.abort(
      new Failure(action, `interrupted by ${signal}; nothing is left of it`, { exitStatus: 130 }),
    );
  for (const signal of signals) process.on(signal, onSignal);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}
