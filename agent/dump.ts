/** What the dump modes print: manifests, to standard output, and nothing else. */
import { writeSync } from "node:fs";
import type { BootstrappedMachine } from "../manifests/bootstrapped-machine.ts";
import { formatMachineHeaders } from "../manifests/machine.ts";
import { formatResult, type Result } from "../manifests/result.ts";
import { formatTask, type Task } from "../manifests/task.ts";

/** The machines as they would be offered to a controller: a list of machine header manifests. */
export function dumpMachines(machines: readonly BootstrappedMachine[]): void {
  print(formatMachineHeaders(machines.map(({ machine }) => machine)));
}

export function dumpTask(task: Task): void {
  print(formatTask(task));
}

export function dumpResult(result: Result): void {
  print(formatResult(result));
}

function print(text: Uint8Array): void {
  for (let written = 0; written < text.length;) written += writeSync(1, text, written);
}
