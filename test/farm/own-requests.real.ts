/**
 * Two guests on the user network: one tries to forge the other's build, and to look into its host, and so do users of the
 * host (docs/decisions/reach.md).
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { run } from "../../os/run.ts";
import { startFarm, type Farm, type FarmOptions } from "../fixtures/farm.ts";
import { freePort } from "../fixtures/ports.ts";
import { reachedBy } from "../fixtures/reached.ts";
import { packSource, script } from "../worker/sources.ts";
import { patienceSeconds } from "../fixtures/patience.ts";

/** Copied: who is on the host is tried on all that is in the farm's directory. */
const options: FarmOptions = {
  ...{ machine: "minimal", from: "copied", ramKiB: 256 * 1024 },
  controller: "retries: 0\n",
};

/** A machine's process, and where its guest finds the TFTP server. */
interface Running {
  pid: number;
  tftpPort: number;
}

async function runningMachine(farm: Farm): Promise<Running> {
  for (;;) {
    const { stdout } = await run(["pgrep", "-a", "-f", `qemu-system.*${farm.directory}`], {
      ...{ timeoutSeconds: 10, accept: [1] },
    });
    const found = /^(\d+) .*opt\/croft\/tftp,string=10\.0\.2\.2:(\d+)/.exec(stdout);
    if (found) return { pid: Number(found[1]), tftpPort: Number(found[2]) };
    await delay(100);
  }
}

/** A build that lasts until `go` appears among its sources. */
async function submitWaiting(farm: Farm): Promise<number> {
  const wait = `until wget -q -O /dev/null ${farm.guestUrl("/go")}; do sleep 1; done`;
  await packSource(farm.sources, { ".croft/update": script("echo begun", wait, "echo what it did itself") });
  return farm.submit({ name: "hello" });
}

/** A build that tries what another guest's host has, its TFTP server first, and tells how that went. */
async function submitHostile(farm: Farm, port: number, statusPort: number): Promise<number> {
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
  const look = ["status", "metrics"].map(
    (page) => `timeout 60 wget -q -O - http://10.0.2.2:${statusPort}/${page} 2>&1; echo "get ${page}: $?"`,
  );
  await packSource(farm.sources, { ".croft/update": attack + look.join("\n") });
  return farm.submit({ name: "hello" });
}

function as(user: number): string[] {
  return ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups", "--"];
}

/** What processes listen on, as ss(8) tells it. */
async function listening(pids: readonly number[]): Promise<string[]> {
  const { stdout } = await run(["ss", "-Htulnp"], { timeoutSeconds: 60 });
  return stdout
    .split("\n")
    .filter((line) => pids.some((pid) => line.includes(`,pid=${pid},`)))
    .map((line) =>
      line
        .split(/ +/)
        .filter((_, column) => column === 0 || column === 4)
        .join(" "),
    );
}

async function agentOf(farm: Farm): Promise<number> {
  const { stdout } = await run(["pgrep", "-f", `agent.*--spool ${farm.spool}`], { timeoutSeconds: 60 });
  return Number(stdout.split("\n")[0]);
}

/** Tries what users of the host can reach: somebody, and the user of another instance's machine. */
async function assertClosedToUsers(farm: Farm, { pid }: Running): Promise<void> {
  await chmod(farm.directory, 0o755); // as those of a host are
  const agent = await agentOf(farm);
  const published = /^read machines\/volume\/minimal\/minimal-default\//;
  const ofTheTest = /^read (sources?\/|controller\.|agent\.log)/;
  for (const user of [65_534, 70_099]) {
    const { reached, sockets } = await reachedBy(user, farm.directory, [pid, agent]);
    assert.ok(sockets >= 1, "that of operators at least");
    assert.deepEqual(
      reached.filter((line) => !published.test(line) && !ofTheTest.test(line)),
      [],
    );
    for (const attempt of [pid, agent].flatMap((one) => [
      `kill -0 ${one}`,
      `ls /proc/${one}/fd`,
      `cat /proc/${one}/environ`,
      `cat /proc/${one}/mem`,
    ]))
      await assert.rejects(run([...as(user), "sh", "-c", attempt], { timeoutSeconds: 60 }), /ermi/, attempt);
  }
}

test("a guest forges nothing of another instance's build, and a user of the host neither", async () => {
  const statusPort = await freePort();
  const statusListen = ["--status-listen", `127.0.0.1:${statusPort}`];
  await using victim = await startFarm({ ...options, agent: statusListen });
  await using hostile = await startFarm({ ...options, from: "kept" });
  const id = await submitWaiting(victim);
  await victim.startAgent();
  await victim.logUntil(id, patienceSeconds, /begun/);
  const machine = await runningMachine(victim);
  const port = machine.tftpPort;
  assert.deepEqual((await listening([await agentOf(victim)])).sort(), [
    `tcp 127.0.0.1:${statusPort}`,
    `udp 127.0.0.1:${port}`,
  ]);
  assert.deepEqual(
    (await listening([machine.pid])).filter((line) => line.startsWith("tcp")),
    [],
  );
  await assertClosedToUsers(victim, machine);
  const status = await fetch(`http://127.0.0.1:${statusPort}/healthz`);
  assert.equal(status.status, 200, "users of the host may read it");

  const attack = await submitHostile(hostile, port, statusPort);
  await hostile.startAgent();
  await hostile.ended(attack);
  const attempts = await hostile.log(attack);
  assert.match(attempts, /get task\.manifest: 1/);
  assert.match(attempts, /put upload\.tar: 1/);
  assert.match(attempts, /put result\.manifest: 1/);
  assert.match(attempts, /Only this server's machine is served/);
  for (const page of ["status", "metrics"]) assert.match(attempts, new RegExp(`^get ${page}: 1$`, "m"));
  assert.match(attempts, /403 Forbidden/);
  assert.doesNotMatch(attempts, /croft_agent|"activity"/);

  const said = await run(
    [
      ...as(65_534),
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
