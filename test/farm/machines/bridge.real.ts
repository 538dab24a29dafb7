/** Machines on a bridge that are restored: each copy as who it is, and nothing of one on the bridge before its task, nor after it. */
import assert from "node:assert/strict";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { macOfCopy } from "../../../machines/copies.ts";
import { machinePaths } from "../../../machines/layout.ts";
import { readBootstrappedManifest } from "../../../machines/manifest-files.ts";
import { findState } from "../../../machines/warm/state.ts";
import { startFarm, type Farm } from "../../fixtures/farm.ts";
import { minimalMachine } from "../../fixtures/machines/images.ts";
import {
  enterNetworkNamespace,
  outsideAddress,
  sh,
  startBridgedHost,
  machineConnections,
} from "../../fixtures/network.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";
import { packSource, script } from "../../worker/sources.ts";

const outside = `http://${outsideAddress}`;

/** Who the machine is, what it reaches, and what it is reached by. */
const build = [
  "set +x; cd /tmp",
  "interface=$(echo /sys/class/net/e*)",
  'echo "mac $(cat "$interface/address")"',
  "address=$(ip -4 address show scope global | sed -n 's/^ *inet \\(10[0-9.]*\\).*/\\1/p')",
  'echo "address $address"; echo "served at $address" > served; busybox httpd -p 8080 -h /tmp',
  'echo "itself: $(wget -q -O - "http://$address:8080/served")"',
  `other=$(wget -q -O - ${outside}/other) || exit 1`,
  '[ -z "$other" ] || ! wget -q -T 3 -O - "http://$other:8080/served" || exit 1',
  'echo "tried ${other:-nobody}"',
  `until wget -q -O /dev/null ${outside}/go; do sleep 0.5; done`,
];

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not so in time: ${what}`);
    await delay(50);
  }
}

test("restored copies on a bridge have MAC and lease of their own, and reach one another no more than booted ones", async () => {
  await minimalMachine(); // made of Debian's packages, if it has to be: not from in there
  await enterNetworkNamespace();
  await using stack = new AsyncDisposableStack();
  const host = stack.use(await startBridgedHost());
  const farm = stack.use(
    await startFarm({
      ...{ machine: "minimal", from: "kept", ramKiB: 256 * 1024, bridged: true, ahead: true },
      controller: "retries: 0\n",
      agent: ["--machine-copies", "2", "--startup-timeout", String(patienceSeconds)],
    }),
  );
  await packSource(farm.sources, { ".croft/test": script(...build) }, "hello-1.0.tar.gz");
  await copyFile(
    join(farm.sources.directory, "hello-1.0.tar.gz"),
    join(host.outsideDirectory, "hello-1.0.tar.gz"),
  );
  const publish = (name: string, text = "") => writeFile(join(host.outsideDirectory, name), text);
  const submit = () => farm.submit({ name: "hello", repository: `${outside}/hello-1.0.tar.gz` });
  const log = () => readFile(farm.agentLog, "utf8");
  const says = (text: string, times = 1) => until(text, async () => (await log()).split(text).length > times);

  await publish("other");
  await farm.startAgent();
  const paths = machinePaths(farm.machines, "volume", "minimal", "default");
  await until("saved", async () => "state" in findState(paths));
  assert.deepEqual(await machineConnections(), [], "nothing but the shared rules");
  const first = await copyOf(farm, await submit());
  await publish("other", first.address);
  await farm.startSecondAgent(["--ahead", "off"]);
  const second = await copyOf(farm, await submit());
  assert.equal(second.tried, first.address);
  const { mac } = readBootstrappedManifest(paths)!.machine;
  assert.deepEqual([first.mac, second.mac], [mac, macOfCopy(mac!, 2)]);
  assert.notEqual(first.address, second.address);
  await publish("go");
  for (const { id } of [first, second])
    assert.equal((await farm.ended(id)).status, "success", await farm.log(id));
  await farm.stopSecondAgent(); // the first has the next one
  const restored = `${await log()}${await readFile(join(farm.directory, "agent-2.log"), "utf8")}`;
  assert.equal(restored.split("machine restored {").length, 3, restored);

  await says("a copy is kept ahead of the next task");
  const [link] = JSON.parse(await sh("ip", "-json", "link", "show", "dev", "croft1")) as {
    master?: string;
    flags: string[];
  }[];
  assert.deepEqual(
    [link!.master, link!.flags.includes("UP")],
    [undefined, false],
    "it is on the bridge already",
  );
  assert.doesNotMatch(await sh("nft", "list", "ruleset"), /croft\d/);
  await publish("other", second.address);
  const third = await submit();
  assert.equal((await farm.ended(third)).status, "success", await farm.log(third));
  assert.match(await log(), /"ahead":true/);

  await says("a copy is kept ahead of the next task", 2);
  await farm.killAgent();
  assert.match((await machineConnections()).join(), /croft1/);
  await farm.startAgent();
  await until("its successor clears that away", async () => (await machineConnections()).length === 0);
});

/** Waits until the build has said who its machine is. */
async function copyOf(farm: Farm, id: number) {
  await farm.logUntil(id, patienceSeconds, /^(tried .*|==> test: error)$/m);
  const log = await farm.log(id);
  const said = (name: string) => new RegExp(`^${name} (.*)$`, "m").exec(log)?.[1] ?? "";
  const address = said("address");
  assert.match(log, new RegExp(`^itself: served at ${address}$`, "m"));
  return { id, address, mac: said("mac"), tried: said("tried") };
}
