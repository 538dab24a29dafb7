/** Which machines start at once. */
import { listMachines } from "../../machines/layout.ts";
import { readBootstrappedManifest } from "../../machines/manifest-files.ts";
import { stateSize } from "../../machines/warm/state.ts";
import { formatBytes } from "../../os/text/size.ts";
import type { Settings } from "../settings/settings.ts";
import { whyBooted } from "../settings/warm.ts";
import { ok, type Check, type Finding } from "./check.ts";

export const warmChecks: readonly Check[] = [
  { name: "warm machines", run: (settings) => Promise.resolve(checkWarm(settings)) },
];

/** No problem in any case: a machine that is booted builds as well. */
function checkWarm(settings: Settings): Finding[] {
  const subject = "warm machines";
  if (!settings.warm) return [ok(subject, "none: --no-warm")];
  const bootstrapped = listMachines(settings.machines, settings.toolchain.name).filter((paths) => {
    try {
      return readBootstrappedManifest(paths) !== undefined;
    } catch {
      return false; // told by the check of the machines
    }
  });
  return bootstrapped.map((paths) => {
    const reason = whyBooted(settings, paths);
    if (reason !== undefined) return ok(subject, `${paths.name} is booted for every task: ${reason}`);
    return ok(subject, `${paths.name} starts from its saved state (${formatBytes(stateSize(paths) ?? 0)})`);
  });
}
