/** What of an agent's context follows from its settings; made at the start, and anew when the settings change. */
import type { Log } from "../os/log.ts";
import { packageVersion } from "../os/files/package.ts";
import { openStorage } from "../machines/open-storage.ts";
import type { Context } from "./context.ts";
import { Delivery } from "./results/delivery.ts";
import { provideWorker } from "./performing/provide-worker.ts";
import { directoriesOf } from "./settings/directories.ts";
import { HttpClient } from "./wire/http.ts";
import { interactiveLogin } from "./settings/interactive-login.ts";
import type { AgentMetrics } from "./status/metrics.ts";
import { Polling } from "./asking/polling.ts";
import { WakeUps } from "./asking/wake-ups.ts";
import type { Settings } from "./settings/settings.ts";
import { openSigner } from "./wire/signing.ts";
import type { SignsOfLife } from "./task-state/signs-of-life.ts";
import type { Spool } from "./task-state/spool.ts";

export type ConfiguredContext = Pick<
  Context,
  | "settings"
  | "directories"
  | "storage"
  | "client"
  | "polling"
  | "wakeUps"
  | "delivery"
  | "signer"
  | "workerVersion"
  | "login"
>;

/** The client that speaks to controllers as the settings say. */
export function openClient(settings: Settings): HttpClient {
  return new HttpClient({ ...settings, agent: `croft/${packageVersion}` });
}

/** @throws {Failure} for a key that cannot be read, or a directory that cannot be used. */
export async function openConfiguredContext(
  settings: Settings,
  spool: Spool,
  log: Log,
  metrics: AgentMetrics,
  signs: SignsOfLife,
  stop: AbortSignal,
): Promise<ConfiguredContext> {
  const { authKey, openssl } = settings;
  const signer = authKey === undefined ? undefined : await openSigner(authKey, openssl, stop);
  const directories = directoriesOf(settings);
  const client = openClient(settings);
  const wakeUps = new WakeUps({ client, log });
  const workerVersion = await provideWorker(directories.toolchain);
  const needsMachines = settings.fakeMachine === undefined;
  return {
    settings,
    directories,
    client,
    storage: await openStorage(
      needsMachines ? settings.machines : settings.tftp,
      needsMachines ? settings.storage : "directory",
      log,
    ),
    polling: new Polling({
      controllers: settings.controllers,
      client,
      signer,
      takesSecrets: workerVersion !== undefined,
      requestTimeoutSeconds: settings.requestTimeoutSeconds,
      requestRetries: settings.requestRetries,
      log,
      metrics,
      wakeUps,
    }),
    wakeUps,
    delivery: new Delivery({ client, spool, log, signs, metrics }),
    workerVersion,
    signer,
    login: interactiveLogin(settings),
  };
}
