/** Two guests on the user network: one tries to forge the other's build, and so does a user of the host. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { run } from "../../os/run.ts";
import { startFarm, type Farm } from "../fixtures/farm.ts";
import { packSource, script } from "../worker/sources.ts";

const options = { machine: "minimal", agent: ["--ram", "262144"], controller: "retries: 0\n" } as const;

/** Where a guest finds the TFTP server of a farm's running machine, as its QEMU was told. */
async function tftpPort(farm: Farm): Promise<number> {
  for (;;) {
    const { stdout } = await run(["pgrep", "-a", "-f", `qemu-system.*${farm.directory}`], {
      ...{ timeoutSeconds: 10, accept: [1] },
    });
    const found = /opt\/croft\/tftp,string=10\.0\.2\.2:(\d+)/.exec(stdout);
    if (found) return Number(found[1]);
    await delay(100);
  }
}

/** A build that lasts until `go` appears among its sources. */
async function submitWaiting(farm: Farm): Promise<number> {
  const wait = `until wget -q -O /dev/null ${farm.guestUrl("/go")}; do sleep 1; done`;
  await packSource(farm.sources, { ".croft/update": script("echo begun", wait, "echo what it did itself") });
  return farm.submit({ name: "hello" });
}

/** A build that acts on another guest's TFTP server, and tells how that went. */
async function submitHostile(farm: Farm, port: number): Promise<number> {
  const forged =
    ": 1\\nname: hello\\nversion: 1.0\\nstatus: success\\nupdate-status: success\\nupdate-log: forged\\n";
  const tftp = "timeout 30 busybox tftp";
  const attack = script(
    `printf '${forged}' > forged`,
    `${tftp} -g -r task.manifest -l stolen 10.0.2.2 ${port}; echo "get task.manifest: $? $(wc -c < stolen)"`,
    ...["upload.tar", "result.manifest"].map(
      (name) => `${tftp} -p -l forged -r ${name} 10.0.2.2 ${port}; echo "put ${name}: $?"`,
    ),
  );
  await packSource(farm.sources, { ".croft/update": attack });
  return farm.submit({ name: "hello" });
}

test("a guest forges nothing of another instance's build, and a user of the host neither", async () => {
  await using victim = await startFarm(options);
  await using hostile = await startFarm(options);
  const id = await submitWaiting(victim);
  await victim.startAgent();
  await victim.logUntil(id, 180, /begun/);
  const port = await tftpPort(victim);

  const attack = await submitHostile(hostile, port);
  await hostile.startAgent();
  await hostile.ended(attack, 300);
  const attempts = await hostile.log(attack);
  assert.match(attempts, /get task\.manifest: 1/);
  assert.match(attempts, /put upload\.tar: 1/);
  assert.match(attempts, /put result\.manifest: 1/);
  assert.match(attempts, /Only this server's machine is served/);

  const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
  const said = await run(
    [
      ...nobody,
      "tftp",
      "-m",
      "binary",
      "127.0.0.1",
      `${port}`,
      "-c",
      "put",
      "/etc/hostname",
      "result.manifest",
    ],
    { timeoutSeconds: 60 },
  );
  assert.match(said.stdout + said.stderr, /Only this server's machine is served/);

  await writeFile(join(victim.sources.directory, "go"), "");
  const view = await victim.ended(id);
  const log = await victim.log(id);
  assert.equal(view.status, "success", await victim.agentTail());
  assert.match(log, /what it did itself/);
  assert.doesNotMatch(log, /forged/);
  assert.match(readFileSync(victim.agentLog, "utf8"), /TFTP request refused: it is not from this machine/);
});
