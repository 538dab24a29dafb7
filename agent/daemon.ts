/**
 * The agent: one process that performs one task at a time.
 *
 * On disk it keeps, for toolchain T and instance I:
 *
 *     <spool>/<T>-<I>/          what it owes to controllers (spool.ts)
 *     <tftp>/toolchains/<T>/    what machines get while they are bootstrapped; `worker` is put there
 *     <tftp>/bootstrap/<T>-<I>/ and <tftp>/build/<T>-<I>/   files of one boot, removed after it
 *     <runtime>/<T>-<I>/        sockets, pid file and console of its machine
 *     <machines>/*\/M/M-T-I-*    temporary snapshots
 *
 * In each of these places it holds a lock against a second agent of the name (task-state/instance-lock.ts).
 *
 * After a crash, at any point: the kernel has released all locks and ended the machine; the next start of the
 * instance reports the task from the spool and removes the rest (recovery.ts). No result of a machine is lost.
 */
import { hostname } from "node:os";
import { join } from "node:path";
import type { Log } from "../os/log.ts";
import { feedWatchdog } from "../os/service/systemd.ts";
import { startVirtualMachine } from "../machines/qemu/start.ts";
import { HostAbility } from "./ability.ts";
import type { Context } from "./context.ts";
import { factsOf } from "./status/facts.ts";
import { lockInstance } from "./task-state/instance-lock.ts";
import { AgentMetrics } from "./status/metrics.ts";
import { openClient, openConfiguredContext } from "./configured-context.ts";
import { Ahead } from "./performing/ahead.ts";
import { recover } from "./performing/recovery.ts";
import { reloadSettings } from "./reload.ts";
import { instanceName, type Settings } from "./settings/settings.ts";
import { watchSignals } from "./signals.ts";
import { Interrupted } from "./task-state/interruption.ts";
import { SignsOfLife } from "./task-state/signs-of-life.ts";
import { SpoolMeter } from "./task-state/spool-size.ts";
import { Spool } from "./task-state/spool.ts";
import { Status } from "./status/status.ts";
import { TaskPhases } from "./status/task-phases.ts";
import { workLoop } from "./work-loop.ts";

/**
 * Runs until asked to end (by a signal, or by a mode that prints something and exits).
 *
 * @param readSettings reads the configuration again, when SIGHUP asks for it
 * @throws {Failure} for whatever keeps it from working at all.
 */
export async function runAgent(
  settings: Settings,
  log: Log,
  readSettings: () => Settings = () => settings,
): Promise<void> {
  using signals = watchSignals();
  using _watchdog = settings.systemd ? feedWatchdog(log) : undefined;
  try {
    const spool = await Spool.open(join(settings.spool, instanceName(settings)));
    using _instance = await lockInstance(settings, log);
    const context = await openContext(settings, spool, log, signals.stop);
    await using _ability = context.ability;
    await using _ahead = context.ahead;
    await using _signs = context.signs;
    if (settings.systemd) for (const fact of factsOf(context)) log.info(fact);
    await using _statusServer = settings.statusListen
      ? await startStatusPages(settings.statusListen, context)
      : undefined;
    signals.stop.addEventListener("abort", () => context.status.stopping(), { once: true });
    await recover(context);
    await workLoop(context, signals, (context) => reloadSettings(context, readSettings));
    context.status.stopping();
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  }
  log.info("agent ended");
}

async function openContext(settings: Settings, spool: Spool, log: Log, stop: AbortSignal): Promise<Context> {
  const status = new Status(log, settings.systemd);
  const spoolMeter = new SpoolMeter(spool.directory);
  const metrics = new AgentMetrics(settings, status, spoolMeter);
  const ability = new HostAbility();
  const signs = new SignsOfLife(openClient(settings), log);
  return {
    ...(await openConfiguredContext(settings, spool, log, metrics, signs, stop)),
    signs,
    log,
    spool,
    spoolMeter,
    status,
    metrics,
    phases: new TaskPhases((phase, seconds) => metrics.taskPhase(phase, seconds)),
    ability,
    ahead: new Ahead(),
    tftpPort: ability.tftpPort,
    startMachine: startVirtualMachine,
    hostName: hostname(),
    stop,
  };
}

/** Loaded only by those who ask for it. */
async function startStatusPages(
  listen: { address: string; port: number },
  context: Context,
): Promise<AsyncDisposable> {
  const { startStatusServer } = await import("./status/status-server.ts");
  return startStatusServer(listen, context, context.log);
}
