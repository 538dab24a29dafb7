/** What a controller answered survives a power cut: its database's log is on the disk before the answer goes out. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { makeFarm, requestTask, sendResult, submit } from "./farm.ts";
import { patienceMs } from "../fixtures/patience.ts";

interface Event {
  kind: string;
  subject: string;
}

async function readRecord(path: string, pid: number): Promise<Event[]> {
  const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
  return lines.flatMap((line) => {
    const [, process, kind, subject] = /^(\d+) (\w+) (.*)$/.exec(line) ?? [];
    return Number(process) === pid ? [{ kind: kind!, subject: subject! }] : [];
  });
}

/** Between the answer before and this one the database's log was written, and each file of it synced after that. */
function assertSynced(events: readonly Event[], answer: string): void {
  const end = events.findIndex(({ kind, subject }) => kind === "answer" && subject === answer);
  assert.notEqual(end, -1, `there is an answer '${answer}'`);
  const start = events.findLastIndex(({ kind }, index) => index < end && kind === "answer");
  const unsynced = new Set<string>();
  let writes = 0;
  for (const { kind, subject } of events.slice(start + 1, end)) {
    if (!subject.includes("/database/pg_wal/")) continue;
    if (kind === "write") {
      writes++;
      unsynced.add(subject);
    } else if (kind === "sync") unsynced.delete(subject);
  }
  assert.ok(writes > 0, `'${answer}' changed something`);
  assert.deepEqual([...unsynced], [], `written and not synced before '${answer}'`);
}

describe("a controller with the embedded database", { timeout: patienceMs }, () => {
  test("answers to a submission, a task request and a result when they are on the disk", async () => {
    await using farm = await makeFarm();
    const record = join(farm.directory, "record");
    const preload = join(import.meta.dirname, "record-writes.js");
    await using controller = await farm.startWith({ NODE_OPTIONS: `--import=${preload}`, RECORD: record });
    await submit(controller.url);
    const task = await requestTask(controller.url);
    assert.equal((await sendResult(task, "success", [["update", "success", "x\n"]])).status, 204);
    const events = await readRecord(record, controller.process.pid!);
    assertSynced(events, "POST /api/v1/builds 201");
    assertSynced(events, "POST /agent/task 200");
    assertSynced(events, "POST /agent/result 204");
  });
});
