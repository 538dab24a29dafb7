import { packageVersion } from "../../os/files/package.ts";
import { withoutSecrets } from "../../os/network/url.ts";
import { formatController } from "../settings/controller-setting.ts";
import type { Reported } from "./reported.ts";

/** What a service's log begins with: a line for each fact about the agent, nothing secret among them. */
export function factsOf({
  settings,
  signer,
  workerVersion,
}: Pick<Reported, "settings" | "signer" | "workerVersion">): string[] {
  const { toolchain, network, controllers } = settings;
  const facts: Record<string, unknown> = {
    version: packageVersion,
    worker: workerVersion,
    cpu: settings.cpus,
    "ram KiB": settings.ramKiB,
    network: network.kind === "bridge" ? `bridge ${network.bridge}` : "user",
    "key fingerprint": signer?.fingerprint,
    interactive: settings.interactive,
    toolchain: `${toolchain.name} ${toolchain.number} ${toolchain.version} ${toolchain.id}`.trim(),
    instance: settings.instance,
    "instance maximum": settings.instanceMax,
  };
  return [
    ...Object.entries(facts).flatMap(([fact, value]) =>
      value === undefined ? [] : [`${fact}: ${String(value)}`],
    ),
    ...controllers.map(
      ({ url, priority }) => `controller: ${formatController({ url: withoutSecrets(url), priority })}`,
    ),
  ];
}
