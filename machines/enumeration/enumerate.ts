/**
 * Looking through the machines of a host, under the toolchain lock.
 *
 * Operators add, upgrade and remove machines meanwhile, other instances bootstrap and build, and any of them may die
 * at any point. What makes that safe: a revision is never written once it has its name; the link to it is switched in
 * one step; a bootstrapped machine appears and disappears in one step, and only under its machine lock. Whatever is
 * gone when it is needed is looked up again through the link.
 */
import { existsSync } from "node:fs";
import type { Log } from "../../os/log.ts";
import type { EnumerationContext } from "./enumeration-context.ts";
import { Enumeration } from "./enumeration.ts";
import { MachineExamination } from "./examine.ts";
import { listMachines, type MachinePaths } from "../layout.ts";
import type { ToolchainLock } from "../toolchain-lock.ts";

/**
 * Finds the machines that are ready (one copy of each locked), the copies that others hold, and the machine to be bootstrapped
 * next (all copies locked, with its snapshot). Machines in none of these states are left out; why is logged.
 *
 * For machines that are up to date, no process is started and nothing is written.
 *
 * @throws {Failure} if a directory or a link cannot be read; the signal's reason if aborted.
 */
export async function enumerateMachines(
  context: EnumerationContext,
  toolchainLock: ToolchainLock,
): Promise<Enumeration> {
  const enumeration = new Enumeration();
  await using onFailure = new AsyncDisposableStack();
  onFailure.use(enumeration);
  const machines = withoutDoubles(listMachines(context.directory, context.toolchain.name), context.log);
  let current = 0;
  for (const paths of machines) {
    context.signal?.throwIfAborted();
    const examination = new MachineExamination(context, toolchainLock, paths);
    const found = await examination.run({ mayBootstrap: enumeration.pending === undefined });
    if (examination.hasCurrentRevision) current++;
    for (const each of found) enumeration.add(each);
  }
  if (current === 0) context.log.warn(`no build machines for toolchain ${context.toolchain.name}`);
  const { instanceMax } = context;
  if (enumeration.pending && instanceMax > 0 && enumeration.heldCount >= instanceMax) {
    context.log.step(
      { machine: enumeration.pending.paths.name },
      "not bootstrapped now: all instances are busy",
    );
    await enumeration.takePending()[Symbol.asyncDispose]();
  }
  onFailure.move();
  return enumeration;
}

function withoutDoubles(machines: readonly MachinePaths[], log: Log): MachinePaths[] {
  const first = new Map<string, MachinePaths>();
  for (const paths of machines) {
    const other = first.get(paths.name);
    if (!other) first.set(paths.name, paths);
    else if (existsSync(paths.current))
      // not lost+found, which every volume may have
      log.warn(
        { machine: paths.name },
        `machine is ignored in volume ${paths.volume}: there is one of that name in ${other.volume}`,
      );
  }
  return [...first.values()];
}
