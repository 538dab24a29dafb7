/** What holds when a controller dies at any point, and when two of them want the same data. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { makeFarm, readBuild, requestTask, sendLog, sendResult, startController, submit } from "./farm.ts";

const rounds = Number(process.env["CROFT_CRASH_ROUNDS"] ?? 1);

describe("a controller that dies", () => {
  test("keeps every acknowledged submission, log chunk, artifact and result through kill -9 under load", async () => {
    await using farm = await makeFarm();
    const submitted = new Set<number>();
    const finished = new Map<string, string>();
    for (let round = 0; round < rounds; round++) {
      await using controller = await farm.start();
      const { url } = controller;
      for (const [name, log] of finished) await assertStored(url, name, log);
      for (const id of submitted) assert.notEqual((await readBuild(url, id)).state, undefined, `build ${id}`);
      let killed = false;
      let acknowledged = 0;
      const worker = async (number: number) => {
        for (let count = 0; !killed; count++) {
          const id = await submit(url, { name: `w${number}-${round}-${count}`, machine: `m${number}` });
          submitted.add(id);
          const name = `m${number}`;
          const task = await requestTask(url, { machines: [{ id: name, name, summary: name }] });
          if (task.session === "") continue;
          await sendLog(task, 0, "live\n");
          // The task may be one that an earlier round left in the queue.
          const log = `${task.task!.name} `.repeat(5000);
          if ((await sendResult(task, "success", [["update", "success", log]])).status !== 204) continue;
          finished.set(task.task!.name, log);
          // In the middle of what the other workers do.
          if (++acknowledged === 5 + round) killed = controller.process.kill("SIGKILL");
        }
      };
      await Promise.all(
        [1, 2, 3].map((number) =>
          worker(number).catch((error: unknown) => {
            if (!killed) throw error;
          }),
        ),
      );
      await controller.end("SIGKILL");
    }
    await using controller = await farm.start();
    for (const [name, log] of finished) await assertStored(controller.url, name, log);
    assert.ok(finished.size >= 5 * rounds);
  });

  test("a task goes on at the next controller: its log, its result", async () => {
    await using farm = await makeFarm();
    await using first = await farm.start();
    const id = await submit(first.url);
    const task = await requestTask(first.url);
    assert.equal((await sendLog(task, 0, "one\n")).status, 204);
    await first.end("SIGKILL");
    await using second = await farm.start();
    const moved = {
      ...task,
      logUrl: task.logUrl!.replace(first.url, second.url),
      resultUrl: task.resultUrl!.replace(first.url, second.url),
    };
    assert.equal((await sendLog(moved, 0, "one\n")).status, 204);
    assert.equal((await sendLog(moved, 4, "two\n")).status, 204);
    assert.equal(await (await fetch(`${second.url}/api/v1/builds/${id}/log`)).text(), "one\ntwo\n");
    assert.equal((await sendResult(moved, "success", [["update", "success", "all\n"]])).status, 204);
    assert.equal((await readBuild(second.url, id)).status, "success");
  });

  test("is replaced at once, while one that lives is not: a second one is refused and told who it is", async () => {
    await using farm = await makeFarm();
    await using first = await farm.start();
    await assert.rejects(startController(["--data", `${farm.directory}/data`]), (error: Error) => {
      assert.match(
        error.message,
        new RegExp(`ended with 1: .*another controller holds it \\(pid ${first.process.pid} on `, "s"),
      );
      return true;
    });
    assert.equal((await fetch(`${first.url}/readyz`)).status, 200);
    await first.end("SIGKILL");
    await using _second = await farm.start();
  });

  test("ends with 0 on SIGTERM, at once, though someone follows a log", async () => {
    await using farm = await makeFarm();
    const startedMs = performance.now();
    await using controller = await farm.start();
    const startMs = performance.now() - startedMs;
    const id = await submit(controller.url);
    const following = await fetch(`${controller.url}/api/v1/builds/${id}/events`);
    const reader = following.body!.getReader();
    await reader.read();
    const endedMs = performance.now();
    assert.equal(await controller.end("SIGTERM"), 0);
    assert.ok(performance.now() - endedMs < 5000 + 2 * startMs);
    await reader.read().catch(() => {});
  });
});

async function assertStored(url: string, name: string, log: string): Promise<void> {
  const id = await named(url, name);
  assert.ok(id, name);
  const build = await readBuild(url, id);
  assert.equal(build.status, "success", `build ${id}`);
  assert.equal(await (await fetch(build.operations[0]!.logUrl)).text(), log, `log of build ${id}`);
}

async function named(url: string, name: string): Promise<number | undefined> {
  const answer = await fetch(`${url}/api/v1/builds?name=${name}`);
  return ((await answer.json()) as { builds: { id: number }[] }).builds[0]?.id;
}
