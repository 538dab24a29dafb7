/** The farm as operators run it: btrfs, agents known by their keys; and its agent is killed. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { btrfsFileSystem } from "../fixtures/machines/btrfs.ts";
import { startFarm } from "../fixtures/farm.ts";
import { packSource, script } from "../worker/sources.ts";
import { patienceMs, patienceSeconds } from "../fixtures/patience.ts";

test("on btrfs, with keys: a task whose agent is killed with its machine is done by the next agent", async () => {
  await using volume = await btrfsFileSystem({ sizeMiB: 2048 });
  await using directory = await temporaryDirectory("croft-test-");
  const key = join(directory.path, "key.pem");
  const keys = join(directory.path, "keys");
  await mkdir(keys);
  await run(["openssl", "genrsa", "-out", key, "2048"], { timeoutSeconds: 300 });
  await run(["openssl", "rsa", "-in", key, "-pubout", "-out", join(keys, "host.pem")], {
    timeoutSeconds: 300,
  });
  await using farm = await startFarm({
    machine: "minimal",
    machines: volume.path,
    from: "copied",
    ramKiB: 256 * 1024,
    agent: ["--storage", "btrfs", "--auth-key", key],
    controller: `agents: {keys: ${keys}}\nretries: 0\n`,
  });
  await packSource(farm.sources, { ".croft/update": script("echo begun", "echo done") });
  const id = await farm.submit({ name: "hello" });
  await farm.startAgent();
  await farm.until(id, patienceSeconds, (build) => build.state === "building");
  await until(() =>
    run(["pgrep", "-f", `qemu-system.*${farm.directory}`], { timeoutSeconds: 300 }).then(
      () => true,
      () => false,
    ),
  );
  await farm.killAgent();
  await until(() =>
    run(["pgrep", "-f", `qemu-system.*${farm.directory}`], { timeoutSeconds: 300 }).then(
      () => false,
      () => true,
    ),
  );

  await farm.startAgent();
  const view = await farm.ended(id);
  assert.equal(view.status, "success", await farm.agentTail());
  assert.match(await farm.log(id), /begun\ndone/);
  assert.match(readFileSync(farm.agentLog, "utf8"), /task of a crashed predecessor decided .*interrupt/);
  await farm.stopAgent();
  const home = join(volume.path, "volume", "minimal");
  assert.deepEqual(readdirSync(home).sort(), [
    "minimal-1",
    "minimal-1.1",
    "minimal-default",
    "minimal-default.lock",
  ]);
  const { stdout } = await run(["btrfs", "subvolume", "list", volume.path], { timeoutSeconds: 300 });
  assert.deepEqual(
    stdout
      .trim()
      .split("\n")
      .map((line) => line.replace(/.* path /, ""))
      .sort(),
    ["volume/minimal/minimal-1.1", "volume/minimal/minimal-default"],
  );
});

test("an agent that the controller does not know gets no task, and says so", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const { keys } = await makeKey(directory.path);
  await using farm = await startFarm({
    machine: "minimal",
    controller: `agents: {keys: ${keys}}\n`,
    agent: ["--fake-bootstrap"],
  });
  await farm.startAgent();
  await until(() => Promise.resolve(/task response refused .*401/.test(readFileSync(farm.agentLog, "utf8"))));
});

/** An agent's key, and the controller's directory of public keys with it. */
async function makeKey(directory: string): Promise<{ key: string; keys: string }> {
  const [key, keys] = [join(directory, "key.pem"), join(directory, "keys")];
  await mkdir(keys);
  await run(["openssl", "genrsa", "-out", key, "2048"], { timeoutSeconds: 300 });
  await run(["openssl", "rsa", "-in", key, "-pubout", "-out", join(keys, "host.pem")], {
    timeoutSeconds: 300,
  });
  return { key, keys };
}

/** Waits for something outside of this process, with a deadline. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, "it did not happen in two minutes");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
