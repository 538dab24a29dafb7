/** Whether this host has the memory that the machines of its instances take. */
import { totalmem } from "node:os";
import { dirname } from "node:path";
import { listInstances } from "../../machines/runtime-directory.ts";
import { assertFailure } from "../../os/failure.ts";
import { formatBytes, KiB } from "../../os/text/size.ts";
import type { Settings } from "../settings/settings.ts";
import { ok, problem, warning, type Check, type Finding } from "./check.ts";

export const memoryChecks: readonly Check[] = [{ name: "memory", run: checkMemory }];

function checkMemory({ ramKiB, runtime, instanceMax, fakeMachine }: Settings): Promise<Finding[]> {
  if (fakeMachine !== undefined) return Promise.resolve([]);
  const instances = Math.max(1, instanceMax, countInstances(dirname(runtime)));
  return Promise.resolve([judgeMemory(ramKiB * KiB, instances, totalmem())]);
}

/** Those that run, or have run since the host started; auxiliary machines are none. */
function countInstances(root: string): number {
  try {
    return listInstances(root).filter((name) => !/\.a\d$/.test(name)).length;
  } catch (error) {
    assertFailure(error);
    return 0;
  }
}

/** @param machineBytes of the machine of one build. */
export function judgeMemory(machineBytes: number, instances: number, hostBytes: number): Finding {
  const subject = "memory";
  const need = machineBytes * instances;
  const builds = instances === 1 ? "a build" : `${instances} builds at a time`;
  const found = `this host has ${formatBytes(hostBytes)}; ${builds} may take ${formatBytes(need)} (--ram)`;
  if (machineBytes > hostBytes) return problem(subject, found, "Give a smaller --ram");
  if (need > hostBytes) return warning(subject, found, "Give a smaller --ram, or run fewer instances");
  return ok(subject, found);
}
