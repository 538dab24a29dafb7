/** What a bridged network needs: the bridge itself, the firewall, tap interfaces. */
import { Failure, reasonOf } from "../../host/failure.ts";
import { run } from "../../host/run.ts";
import { readBridge } from "../../machines/network/bridge.ts";
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

/** Makes tables as a machine's rules need them, but without chains that packets pass, and removes them. */
export async function checkFirewall(signal: AbortSignal): Promise<Finding> {
  const table = `croft_doctor_${process.pid}`;
  const tables = [`inet ${table}`, `bridge ${table}`];
  const rules = `
    table inet ${table} {
      ct helper h { type "tftp" protocol udp; l3proto ip; }
      map p { type ether_addr : inet_service; }
      chain c {
        ct state established,related accept
        ip daddr 192.0.2.1 udp dport 69 redirect to :ether saddr map @p
      }
    }
    table bridge ${table} {
      chain d {
        meta mark set 0xc4
      }
    }
`;
  try {
    await run(["nft", "-f", "-"], { ...limit, signal, input: rules });
    return ok("firewall", "nftables takes croft's rules");
  } catch (error) {
    signal.throwIfAborted();
    return problem(
      "firewall",
      reasonOf(error),
      "apt-get install nftables; modprobe -a nf_tables nf_conntrack_tftp; run as root",
    );
  } finally {
    for (const name of tables)
      await run(["nft", "delete", "table", ...name.split(" ")], limit).catch(() => {});
  }
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
