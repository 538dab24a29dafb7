/** What `/status` shows: everything an operator asks an agent, and nothing secret. */
import { reasonOf } from "../../os/failure.ts";
import { packageVersion } from "../../os/files/package.ts";
import { withoutQuery } from "../../os/network/url.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { machinePaths } from "../../machines/layout.ts";
import { whyBooted } from "../settings/warm.ts";
import { healthOf } from "./health.ts";
import type { Reported } from "./reported.ts";
import type { Settings } from "../settings/settings.ts";

/** Makes the report; times are in ISO 8601. */
export async function statusReport(reported: Reported): Promise<Record<string, unknown>> {
  const { settings, status, metrics } = reported;
  // The session is left out: whoever knows it may send a result in the agent's name.
  const { session: _, controller, ...activity } = status.activity;
  return {
    version: packageVersion,
    worker: reported.workerVersion,
    host: reported.hostName,
    pid: process.pid,
    started: new Date(performance.timeOrigin).toISOString(),
    health: healthOf(status, settings),
    now: {
      text: status.text,
      ...activity,
      ...withoutUndefined({ controller: controller && withoutQuery(controller) }),
      since: status.since.toISOString(),
      seconds: Math.round(status.seconds),
    },
    ...withoutUndefined({ fault: shownFault(status) }),
    machines: metrics.machines
      .list(status.activity)
      .map((machine) => ({ ...machine, ...warmth(settings, machine) })),
    machinesEnumerated: metrics.machines.enumerated?.toISOString() ?? null,
    controllers: [...metrics.controllers.values()],
    builds: metrics.buildsByStatus,
    spool: await reported.spoolMeter.size().catch((error: unknown) => ({ problem: reasonOf(error) })),
    keyFingerprint: reported.signer?.fingerprint ?? null,
    settings: shownSettings(settings),
  };
}

/** Whether tasks begin from the machine's saved state, or why not. */
function warmth(settings: Settings, { volume, name }: { volume: string; name: string }) {
  if (settings.fakeMachine !== undefined) return {};
  const reason = whyBooted(settings, machinePaths(settings.machines, volume, name, settings.toolchain.name));
  return reason === undefined ? { warm: true } : { warm: false, whyNotWarm: reason };
}

/** Those that explain what the agent does. */
function shownSettings(settings: Settings): Record<string, unknown> {
  const { toolchain, instance, instanceMax, interactive, machines, storage, tftp, tftpPort } = settings;
  const { spool, runtime, network, accel, cpus, ramKiB, pollIntervalSeconds, toolchainLock } = settings;
  const { buildTimeoutSeconds, bootstrapTimeoutSeconds, suspend } = settings;
  return {
    ...{ toolchain, instance, instanceMax, interactive, toolchainLock },
    ...{ machines, storage, tftp, tftpPort, spool, runtime, network, accel, cpus, ramKiB },
    ...{ pollIntervalSeconds, buildTimeoutSeconds, bootstrapTimeoutSeconds, suspend },
  };
}

function shownFault({ fault }: Reported["status"]) {
  return fault && { count: fault.count, since: fault.since, reason: fault.reason };
}
