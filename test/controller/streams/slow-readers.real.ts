/** A build prints on while readers of all kinds take nothing of what they asked for. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { test } from "node:test";
import { makeFarm, readBuild, requestTask, sendLog, sendResult, submit } from "../farm.ts";

const eachKind = 16;

/** The most memory that a process has had so far. */
function mostMiB(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;
}

test("those who take nothing of a log that grows cost little memory, and hold up neither the build nor who reads", async () => {
  await using farm = await makeFarm();
  await using controller = await farm.start();
  const { url, process } = controller;
  const id = await submit(url);
  const task = await requestTask(url);
  using stack = new DisposableStack();
  const ask = (path: string, times = 1) => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1").on("error", () => {});
    stack.defer(() => socket.destroy());
    socket.pause().write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(times));
  };
  // The worst that a guest can print: a page has a hundred bytes for each of these lines.
  const chunk = Buffer.from("\n".repeat(100_000));
  let offset = 0;
  const print = async () => {
    assert.equal((await sendLog(task, offset, chunk)).status, 204);
    offset += chunk.length;
  };
  await print();
  const before = mostMiB(process.pid!);
  const reader = await fetch(`${url}/api/v1/builds/${id}/events`);
  const read = reader.text();
  for (const path of [
    `/api/v1/builds/${id}/events`,
    `/builds/${id}/live`,
    `/api/v1/builds/${id}/log`,
    `/builds/${id}`,
  ])
    for (let count = 0; count < eachKind; count++) ask(path);
  for (let count = 0; count < 4; count++) await print();
  assert.equal((await fetch(`${url}/builds/${id}`)).status, 200);
  const stalled = mostMiB(process.pid!) - before;
  ask(`/builds/${id}`, 1000);
  await print();
  assert.equal((await fetch(`${url}/builds/${id}`)).status, 200);
  const pipelined = mostMiB(process.pid!) - before;
  assert.equal((await sendResult(task, "success")).status, 204);
  assert.equal((await readBuild(url, id)).state, "finished");
  const pieces = [...(await read).matchAll(/^event: log\ndata: (.*)$/gm)].map(
    ([, data]) => (JSON.parse(data!) as { text: string }).text,
  );
  assert.equal(pieces.join("").length, offset);
  assert.ok(stalled < 200 && pipelined < 250, `${stalled} MiB, ${pipelined} MiB`);
});
