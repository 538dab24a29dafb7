/** Nobody gets frames into a group's network by any port of the host's loopback: neither a guest nor a user of the host */
import assert from "node:assert/strict";
import { copyFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { packageFile } from "../../../os/files/package.ts";
import { run } from "../../../os/run.ts";
import { startFarm } from "../../fixtures/farm.ts";
import { layAuxiliaryMachine } from "../../fixtures/machines/auxiliary-machine.ts";
import { minimalMachine } from "../../fixtures/machines/images.ts";
import { bootstrappedMachine } from "../../fixtures/machines/ready-machines.ts";
import { enterNetworkNamespace } from "../../fixtures/network.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";
import { packSource, script } from "../../worker/sources.ts";

/** In each machine of the group: frames are counted at its interface in the group's network. */
const watching = (program: string) => `
for interface in /sys/class/net/*; do
  case $(ip -4 address show dev "\${interface##*/}") in *" 198.18.0."*) group=\${interface##*/} ;; esac
done
wget -q -O /tmp/frames ${program} && chmod 755 /tmp/frames && mkdir -p /tmp/www
/tmp/frames watch "$group" /tmp/www/counts &
`;
const service = (program: string) => `#!/bin/sh -e
${watching(program)}
busybox httpd -p 8080 -h /tmp/www
echo PORT=8080 >> "$CROFT_ENVIRONMENT"
`;

test("frames for all that a guest, and user nobody, send to every loopback port by UDP and TCP reach no group", async () => {
  await minimalMachine();
  await bootstrappedMachine();
  // A loopback of its own: every port of it is asked for.
  await enterNetworkNamespace();
  await using farm = await startFarm({
    ...{ machine: "minimal", from: "copied", ramKiB: 256 * 1024 },
    controller:
      "retries: 0\ntargets:\n  - name: alone\n  - name: with-echo\n    auxiliary:\n      echo: '*-echo'\n",
    // Several machines begin at once, on few emulated processors.
    agent: ["--machine-copies", "2", "--startup-timeout", String(patienceSeconds)],
  });
  const program = join(farm.sources.directory, "frames");
  const source = packageFile("test", "farm", "machines", "loopback-frames.c");
  await run(["gcc", "-O2", "-static", "-o", program, source], { timeoutSeconds: patienceSeconds });
  const url = farm.guestUrl("/frames");
  await layAuxiliaryMachine(farm.machines, "linux-echo", service(url));
  const submit = async (name: string, target: string, ...lines: string[]) => {
    await packSource(farm.sources, { ".croft/test": script(...lines) }, `${name}-1.0.tar.gz`);
    return await farm.submit({ name, targets: [target] });
  };
  await farm.startAgent(["--auxiliary-ram", "300000"]);
  const group = await submit(
    "group",
    "with-echo",
    ...watching(url).trim().split("\n"),
    "until grep -q 'own [1-9]' /tmp/www/counts; do sleep 1; done; echo ready",
    `until wget -q -O /dev/null ${farm.guestUrl("/scanned")}; do sleep 1; done; sleep 3`,
    'echo "here $(cat /tmp/www/counts), there $(wget -q -O - "http://$ECHO_HOST:$ECHO_PORT/counts")"',
    "kill $!",
  );
  await farm.logUntil(group, 3 * patienceSeconds, /^ready$/m);
  await farm.startSecondAgent(["--auxiliary-ram", "0"]);
  const stranger = await submit(
    "stranger",
    "alone",
    `wget -q -O /tmp/frames ${url} && chmod 755 /tmp/frames && /tmp/frames send 10.0.2.2`,
  );
  const { status } = await farm.ended(stranger, 3 * patienceSeconds);
  const said = await farm.log(stranger);
  assert.equal(status, "success", said);
  const asNobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
  // Such a user may not look into the directories of the test.
  const shared = "/dev/shm/croft-test-frames";
  await copyFile(program, shared);
  const own = await run([...asNobody, shared, "send", "127.0.0.1"], { timeoutSeconds: patienceSeconds });
  await rm(shared);
  for (const text of [said, own.stdout]) {
    const [, datagrams, connections] = /^datagrams (\d+), connections that took it (\d+)$/m.exec(text)!;
    assert.ok(Number(datagrams) > 120_000 && Number(connections) > 1, text);
  }
  await writeFile(join(farm.sources.directory, "scanned"), "");
  assert.equal((await farm.ended(group)).status, "success", await farm.log(group));
  assert.match(await farm.log(group), /^here own [1-9]\d* strange 0, there own [1-9]\d* strange 0$/m);
});
