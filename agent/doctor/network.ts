/** Ports, and the network of the machines. */
import { closeSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { isSystemError, reasonOf } from "../../os/failure.ts";
import { formatListenAddress } from "../../os/network/listen-address.ts";
import { openUdp } from "../../os/network/udp.ts";
import { lockingProcesses } from "../../machines/locks.ts";
import { instanceName, type Settings } from "../settings/settings.ts";
import { bridgeAddress, checkBridge, checkFirewall, checkTap } from "./bridge.ts";
import { ok, problem, warning, type Check, type Finding } from "./check.ts";

export const networkChecks: readonly Check[] = [
  { name: "network", run: checkNetwork },
  { name: "TFTP port", run: checkTftpPort },
  { name: "status port", run: checkStatusPort },
];

async function checkNetwork(settings: Settings, signal: AbortSignal): Promise<Finding[]> {
  const { network } = settings;
  if (network.kind === "user")
    return [
      warning(
        "network",
        "QEMU's user mode: a machine reaches whatever listens on this host's loopback addresses, at 10.0.2.2",
        "Fine on a laptop; on a build host give --network bridge.",
      ),
    ];
  return Promise.all([
    checkBridge(network.bridge, signal),
    checkFirewall(network.bridge, settings, signal),
    checkTap(network.bridge, signal),
  ]);
}

async function checkTftpPort(settings: Settings, signal: AbortSignal): Promise<Finding[]> {
  const { network, tftpPort: port } = settings;
  const subject = "TFTP port";
  // Without an address of the bridge, which is a problem of its own, all addresses tell as much.
  const address =
    network.kind === "user" ? "127.0.0.1" : ((await bridgeAddress(network.bridge, signal)) ?? "0.0.0.0");
  try {
    closeSync(openUdp(address, port));
    return [ok(subject, `${address}:${port} is free`)];
  } catch (error) {
    if (isSystemError(error, "EADDRINUSE")) {
      const agent = runningInstance(settings);
      if (agent !== undefined)
        return [ok(subject, `${address}:${port} is used by the running agent (process ${agent})`)];
    }
    const fix = `See what has it: ss -ulpn 'sport = :${port}'; stop that, or give another --tftp-port`;
    return [problem(subject, `${address}:${port}: ${reasonOf(error)}`, fix)];
  }
}

async function checkStatusPort(settings: Settings): Promise<Finding[]> {
  if (!settings.statusListen) return [];
  const { address, port } = settings.statusListen;
  const subject = "status port";
  const shown = formatListenAddress(address, port);
  try {
    await tryToListen(address, port);
    return [ok(subject, `${shown} is free`)];
  } catch (error) {
    const agent = runningInstance(settings);
    if (isSystemError(error, "EADDRINUSE") && agent !== undefined)
      return [ok(subject, `${shown} is used by the running agent (process ${agent})`)];
    const fix = `See what has it: ss -tlnp 'sport = :${port}'; stop that, or give another --status-listen`;
    return [problem(subject, `${shown}: ${reasonOf(error)}`, fix)];
  }
}

function tryToListen(address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, address, () => server.close(() => resolve()));
  });
}

/** The agent with these settings, if it runs: whoever holds the lock of its spool. */
function runningInstance(settings: Settings): number | undefined {
  const lock = statSync(join(settings.spool, instanceName(settings), "lock"), { throwIfNoEntry: false });
  return lock && lockingProcesses(lock.ino)[0];
}
