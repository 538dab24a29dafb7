/** What a bridged network needs: the bridge itself, the firewall, tap interfaces. */
import { Failure, reasonOf } from "../../os/failure.ts";
import { run } from "../../os/run.ts";
import { readBridge, type Bridge } from "../../machines/network/bridge.ts";
import { tryRules } from "../../machines/network/firewall.ts";
import type { Settings } from "../settings/settings.ts";
import { ok, problem, type Finding } from "./check.ts";

const limit = { timeoutSeconds: 10 };

/** The bridge's IPv4 address, on which the TFTP server listens. */
export async function bridgeAddress(bridge: string, signal: AbortSignal): Promise<string | undefined> {
  return readBridge(bridge, signal).then(
    ({ address }) => address,
    () => undefined,
  );
}

export async function checkBridge(bridge: string, signal: AbortSignal): Promise<Finding> {
  try {
    return ok("bridge", `${bridge} with ${(await readBridge(bridge, signal)).address}`);
  } catch (error) {
    signal.throwIfAborted();
    const fix = error instanceof Failure ? error.hints.join(" ") : "See docs/bridge.md.";
    return problem("bridge", reasonOf(error), fix);
  }
}

/** Has the kernel judge the very rules that a machine of this instance would get, and changes nothing. */
export async function checkFirewall(
  bridge: string,
  { offset, tftpPort }: Pick<Settings, "offset" | "tftpPort">,
  signal: AbortSignal,
): Promise<Finding> {
  try {
    const found = await readBridge(bridge, signal).catch(() => anyBridge(bridge));
    await tryRules({ bridge: found, offset, mac: "52:54:00:00:00:01", tftpPort }, signal);
    return ok("firewall", "nftables takes croft's rules");
  } catch (error) {
    signal.throwIfAborted();
    return problem(
      "firewall",
      reasonOf(error),
      "apt-get install nftables; modprobe -a nf_tables nft_fib_inet nf_nat_tftp; run as root",
    );
  }
}

/** A bridge that cannot be used is a finding of its own. */
function anyBridge(name: string): Bridge {
  const address = "192.0.2.1"; // of a network for documentation (RFC 5737)
  const mac = "52:54:00:00:00:02";
  return { name, mac, address, addresses: [{ address, prefixLength: 24 }], gateways: [] };
}

/** Makes a tap interface on the bridge, and removes it. */
export async function checkTap(bridge: string, signal: AbortSignal): Promise<Finding> {
  const name = `croftdoc${process.pid % 1_000_000}`;
  try {
    await run(["ip", "tuntap", "add", "dev", name, "mode", "tap"], { ...limit, signal });
    await run(["ip", "link", "set", "dev", name, "master", bridge], { ...limit, signal });
    return ok("tap interfaces", `can be made, and attached to ${bridge}`);
  } catch (error) {
    signal.throwIfAborted();
    return problem("tap interfaces", reasonOf(error), "Mend the bridge; run as root; modprobe tun");
  } finally {
    await run(["ip", "link", "delete", "dev", name], limit).catch(() => {});
  }
}
