/** Auxiliary machines on a bridge: the group has its own network there, too, and nobody else is reached by the bridge. */
import assert from "node:assert/strict";
import { copyFile, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { startFarm } from "../../fixtures/farm.ts";
import { layAuxiliaryMachine } from "../../fixtures/machines/auxiliary-machine.ts";
import { minimalMachine } from "../../fixtures/machines/images.ts";
import { bootstrappedMachine } from "../../fixtures/machines/ready-machines.ts";
import {
  enterNetworkNamespace,
  machineConnections,
  outsideAddress,
  startBridgedHost,
} from "../../fixtures/network.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";
import { packSource, script } from "../../worker/sources.ts";

const service = `#!/bin/sh
mkdir -p /tmp/www
echo "served at $CROFT_ADDRESS" > /tmp/www/index.html
busybox httpd -p 8080 -h /tmp/www
echo BRIDGED=$(ip -4 address show scope global | sed -n 's/^ *inet \\(10[0-9.]*\\).*/\\1/p') >> "$CROFT_ENVIRONMENT"
`;

test("on a bridge a group reaches one another in its own network only, and a stranger reaches none of it", async () => {
  await minimalMachine(); // made of Debian's packages, if it has to be: not from in there
  await bootstrappedMachine();
  await enterNetworkNamespace();
  await using stack = new AsyncDisposableStack();
  const host = stack.use(await startBridgedHost());
  const farm = stack.use(
    await startFarm({
      ...{ machine: "minimal", from: "copied", ramKiB: 256 * 1024, warm: true },
      controller:
        "retries: 0\ntargets:\n  - name: alone\n  - name: with-echo\n    auxiliary:\n      echo: '*-echo'\n",
      agent: ["--machine-copies", "2", "--network", "bridge", "--startup-timeout", String(patienceSeconds)],
    }),
  );
  await layAuxiliaryMachine(farm.machines, "linux-echo", service);
  const outside = `http://${outsideAddress}`;
  const submit = async (name: string, target: string, ...lines: string[]) => {
    const archive = `${name}-1.0.tar.gz`;
    await packSource(farm.sources, { ".croft/test": script(...lines) }, archive);
    await copyFile(join(farm.sources.directory, archive), join(host.outsideDirectory, archive));
    return await farm.submit({ name, targets: [target], repository: `${outside}/${archive}` });
  };
  await farm.startAgent(["--auxiliary-ram", "300000"]);
  const said = async (text: string) => (await readFile(farm.agentLog, "utf8")).split(text).length - 1;
  const deadline = performance.now() + patienceMs;
  while ((await said("machine saved")) < 2) {
    assert.ok(performance.now() < deadline, await farm.agentTail());
    await delay(50);
  }
  const group = await submit(
    "group",
    "with-echo",
    'echo "from $(wget -q -O - "http://$ECHO_HOST:8080/")"',
    '! wget -q -T 3 -O - "http://$ECHO_BRIDGED:8080/" || exit 1',
    'echo "bridged $ECHO_BRIDGED"',
    `until wget -q -O /dev/null ${outside}/go; do sleep 1; done`,
  );
  await farm.logUntil(
    group,
    3 * patienceSeconds,
    /^from served at 198\.18\.0\.2$[^]*^bridged 10\.7\.0\.\d+$/m,
  );
  const [, bridged] = /^bridged (\S+)$/m.exec(await farm.log(group))!;
  await farm.startSecondAgent(["--auxiliary-ram", "0"]);
  const stranger = await submit(
    "stranger",
    "alone",
    `for host in 198.18.0.2 198.18.0.1 ${bridged}; do`,
    '! wget -q -T 3 -O - "http://$host:8080/" || exit 1',
    "done",
    "echo nothing is there",
  );
  assert.equal((await farm.ended(stranger)).status, "success", await farm.log(stranger));
  const go = join(host.outsideDirectory, "go");
  await writeFile(go, "");
  assert.equal((await farm.ended(group)).status, "success", await farm.log(group));
  assert.equal(await said("machine restored"), 2, await farm.agentTail());

  // The agent is killed while there is a group on the bridge; its successor runs none, and so replaces none.
  await rm(go);
  const waiting = `until wget -q -O /dev/null ${outside}/go; do sleep 1; done`;
  const killed = await submit("killed", "with-echo", "echo begun", waiting);
  await farm.logUntil(killed, 3 * patienceSeconds, /^begun$/m);
  await farm.killAgent();
  const interfaces = (await machineConnections()).flatMap((line) => /^croft\d+(?=: <)/.exec(line) ?? []);
  assert.deepEqual(interfaces.sort(), ["croft1", "croft10001"], "of both machines");
  await farm.startAgent(["--auxiliary-ram", "0"]);
  const next = await submit("next", "alone", "true");
  assert.equal((await farm.ended(next)).status, "success", await farm.log(next));
  await farm.stopAgent();
  assert.deepEqual(await machineConnections(), []);
});
