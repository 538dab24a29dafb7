import type { Settings } from "../settings/settings.ts";
import { cacheChecks } from "./caches.ts";
import { runChecks, type Check } from "./check.ts";
import { clockChecks } from "./clock.ts";
import { controllerChecks } from "./controllers.ts";
import { directoryChecks } from "./directories.ts";
import { keyChecks } from "./keys.ts";
import { memoryChecks } from "./memory.ts";
import { networkChecks } from "./network.ts";
import { privacyChecks } from "./privacy.ts";
import { programChecks } from "./programs.ts";
import { countLevels, reportText } from "./report.ts";
import { storageChecks } from "./storage.ts";
import { warmTrial } from "./try-warm.ts";
import { virtualizationChecks } from "./virtualization.ts";
import { warmChecks } from "./warm.ts";

/** In the order of the report. */
const allChecks: readonly Check[] = [
  ...programChecks,
  ...virtualizationChecks,
  ...memoryChecks,
  ...storageChecks,
  ...warmChecks,
  ...cacheChecks,
  ...directoryChecks,
  ...privacyChecks,
  ...networkChecks,
  ...keyChecks,
  ...clockChecks,
  ...controllerChecks,
];

/**
 * Makes all checks, and prints what they found.
 *
 * @param options.tryWarm saves a machine and restores copies of it, besides.
 * @returns the exit status: 0, or 1 if there are problems; 130 if it was interrupted, after cleaning up.
 */
export async function diagnose(settings: Settings, { json = false, tryWarm = false } = {}): Promise<number> {
  const interruption = new AbortController();
  const interrupt = () => interruption.abort(new Error("interrupted"));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, interrupt);
  try {
    const findings = await runChecks(allChecks, settings, interruption.signal);
    // After the others: it takes the ports and directories that they look at.
    if (tryWarm) findings.push(...(await runChecks([warmTrial], settings, interruption.signal)));
    const fine = countLevels(findings).problem === 0;
    process.stdout.write(
      json ? `${JSON.stringify({ ok: fine, findings }, null, 2)}\n` : reportText(findings),
    );
    return fine ? 0 : 1;
  } catch (error) {
    if (interruption.signal.aborted) return 130;
    throw error;
  } finally {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(signal, interrupt);
  }
}
