/** What becomes of a build's clones: a machine that does what the test says writes to them. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cachePath, ownerOf } from "../../../agent/caches/layout.ts";
import { performTask } from "../../../agent/performing/task.ts";
import type { ReceivedTask } from "../../../agent/task-state/received-task.ts";
import type { LockedMachine } from "../../../machines/enumeration/enumeration.ts";
import { parseTask } from "../../../manifests/task.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { MiB } from "../../../os/text/size.ts";
import { imageOf } from "../caches/images.ts";
import { resultText, task as taskText } from "../running-agent.ts";
import { agentDouble } from "./machine-double.ts";

/**
 * Performs a task whose machine fills its disk with a byte.
 *
 * @returns the first byte of what it was given.
 */
async function build(
  cacheDirectory: string,
  writes: number,
  told: Partial<ReceivedTask>,
  status = "success",
): Promise<number> {
  let given = -1;
  await using agent = await agentDouble(
    async (machine) => {
      const { path, serial } = machine.options.extraDisks![0]!;
      assert.equal(serial, "croft-things");
      given = readFileSync(path)[0]!;
      writeFileSync(path, imageOf(writes));
      await machine.askForTask();
      await machine.upload("result.manifest", resultText().replaceAll("success", status));
    },
    { caches: [{ name: "things", bytes: 16 * MiB }], cacheDirectory, cacheMaxBytes: 100 * MiB },
  );
  await agent.farm.bootstrapAll();
  const task = parseTask(Buffer.from(`: 1\n${taskText}`));
  const received: ReceivedTask = {
    controller: { url: "http://127.0.0.1:1/task", priority: 100 },
    response: { session: "s", uploadUrls: {}, task },
    ...{ task, ...told },
  };
  const machine = await agent.farm.enumerate((found) => {
    const ours = found.machines.find(({ state }) => state === "locked") as LockedMachine;
    return { paths: ours.paths, bootstrapped: ours.manifest };
  });
  const lock = { truncate: () => {}, [Symbol.dispose]: () => {} };
  const interruption = { signal: new AbortController().signal, [Symbol.dispose]: () => {} };
  const performed = await performTask(agent.context, received, { ...machine, lock }, interruption);
  await performed.cleared;
  assert.equal(performed.result.status, status);
  assert.deepEqual(readdirSync(join(cacheDirectory, ".clones")), [], "no clone is left");
  return given;
}

const hasMkfs = ["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"].some((path) => existsSync(path));

test(
  "what a trusted build that succeeds leaves is given to the next, and no other",
  { skip: hasMkfs ? false : "there is no mkfs.ext4" },
  async () => {
    await using directory = await temporaryDirectory("croft-test-caches-");
    const next = (writes: number, told: Partial<ReceivedTask>, status?: string) =>
      build(directory.path, writes, told, status);
    assert.equal(await next(7, {}), 0, "an empty file system begins with zeros");
    assert.equal(await next(8, { isTrusted: true }), 0, "a stranger's build has left nothing");
    assert.equal(await next(9, { isTrusted: true }, "error"), 8);
    assert.equal(await next(11, {}), 8, "one that failed has not changed it");
  },
);

test("a build that has secrets has caches apart", () => {
  const task = { name: "hello", repositoryUrl: "https://example.org/hello.git#v1" };
  const paths = [false, true].map((isSecret) => cachePath("/caches", "ccache", ownerOf(task, isSecret)));
  assert.notEqual(paths[0], paths[1]);
});
