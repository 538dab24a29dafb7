/**
 * Reloading (SIGHUP): the configuration file is read again between two rounds of the work loop; the command line goes on
 * to win. What tells this instance from others, and what its locks, directories and outputs are made of, stays until a
 * restart. A configuration that cannot be used changes nothing.
 */
import { isDeepStrictEqual } from "node:util";
import { assertFailure } from "../os/failure.ts";
import { setVerbosity } from "../os/log.ts";
import { withoutSecrets } from "../os/network/url.ts";
import { prepareHostNetwork } from "../machines/network/host-network.ts";
import type { Context } from "./context.ts";
import { openConfiguredContext } from "./configured-context.ts";
import type { Settings } from "./settings/settings.ts";

/** Settings that only a restart changes, with the names of their options. */
const fixed: Partial<Record<keyof Settings, string>> = {
  systemd: "systemd-daemon",
  logFormat: "log-format",
  toolchainLock: "toolchain-lock",
  instance: "instance",
  machines: "machines",
  tftp: "tftp",
  spool: "spool",
  runtime: "runtime",
  statusListen: "status-listen",
};

/** Reads the settings again, and makes the context follow them; logs what came of it. */
export async function reloadSettings(context: Context, read: () => Settings): Promise<void> {
  const { log, status } = context;
  await status.reloading(async () => {
    try {
      const { settings, ignored } = keepIdentity(context.settings, read());
      // All of them or none: whatever cannot be opened leaves the old ones in place.
      const configured = await openConfiguredContext(
        settings,
        context.spool,
        log,
        context.metrics,
        context.signs,
        context.stop,
      );
      if (!isDeepStrictEqual(settings.network, context.settings.network))
        await prepareHostNetwork(settings.network, settings.offset);
      Object.assign(context, configured);
      context.metrics.useSettings(settings);
      status.configurationRefused(undefined);
      setVerbosity(log, settings.verbosity);
      if (ignored.length > 0)
        log.warn({ options: ignored }, "these options have changed, and take effect after a restart only");
      log.info(
        { controllers: settings.controllers.map(({ url }) => withoutSecrets(url)) },
        "configuration reloaded",
      );
    } catch (error) {
      assertFailure(error);
      status.configurationRefused(error.message);
      log.error({ reason: error.message }, "configuration not reloaded, the old settings stay");
    }
  });
}

/**
 * New settings, except for what must stay as it is.
 *
 * @returns the names of options whose new values were left out.
 */
export function keepIdentity(
  current: Settings,
  fresh: Settings,
): { settings: Settings; ignored: readonly string[] } {
  const ignored: string[] = [];
  const kept: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(fixed) as [keyof Settings, string][]) {
    kept[key] = current[key];
    if (!isDeepStrictEqual(current[key], fresh[key])) ignored.push(option);
  }
  const { name, number } = current.toolchain;
  if (name !== fresh.toolchain.name) ignored.unshift("toolchain-name");
  if (number !== fresh.toolchain.number) ignored.unshift("toolchain-num");
  return {
    settings: {
      ...fresh,
      ...kept,
      toolchain: { ...fresh.toolchain, name, number },
      offset: current.offset,
      tftpPort: fresh.tftpPort - fresh.offset + current.offset,
    },
    ignored,
  };
}
