import assert from "node:assert/strict";
import { duplexPair, type Duplex } from "node:stream";
import { test } from "node:test";
import { Refused, startWorker, untilReady } from "../../../agent/performing/handing/control-port.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";

const never = new AbortController().signal;

/** Plays the worker: answers what it is told, one answer for each time. */
function worker(...answers: (string | Buffer)[]): { agent: Duplex; heard: Buffer[] } {
  const [agent, guest] = duplexPair();
  const heard: Buffer[] = [];
  guest.on("data", (chunk: Buffer) => {
    heard.push(chunk);
    const answer = answers.shift();
    if (answer !== undefined) guest.write(answer);
  });
  return { agent, heard };
}

test("a worker that is ready may be saved; one that says something else may not", async () => {
  for (const [said, isReady] of [
    ["croft-control 3 ready\n", true],
    ["croft-control 1 ready\n", false],
    ["croft-control 3 ready\nmore", false],
    ["croft-control 3 refused something\n", false],
  ] as const) {
    const [agent, guest] = duplexPair();
    guest.write(said);
    const ready = untilReady(agent, patienceSeconds, never);
    if (isReady) await ready;
    else await assert.rejects(ready, /says (something unknown|more)/);
  }
});

test("a worker whose kernel does not see that it is a copy is refused for good, with the reason", async () => {
  const [agent, guest] = duplexPair();
  guest.write("croft-control 3 refused kernel\n");
  await assert.rejects(untilReady(agent, patienceSeconds, never), (error) => {
    assert.ok(error instanceof Refused);
    assert.match(error.message, /its kernel has no driver for vmgenid/);
    return true;
  });
});

test("a restored worker gets its address, and when it asks for it, the time and random bytes of its own", async () => {
  const drawn = Buffer.alloc(32, 7);
  const seeds: string[] = [];
  const copies = [
    [{ tftp: "10.0.2.2:23401", disks: 2 }, "10.0.2.2:23401 - 2 0 - -"],
    [{ tftp: "10.7.0.1:23401", mac: "52:54:00:00:00:02" }, "10.7.0.1:23401 52:54:00:00:00:02 0 0 - -"],
  ] as const;
  for (let copy = 0; copy < 2; copy++) {
    const { agent, heard } = worker("?", drawn);
    const [addresses, told] = copies[copy]!;
    assert.deepEqual(await startWorker(agent, addresses, patienceSeconds, never), drawn);
    assert.equal(heard[0]!.toString(), `croft-control 3 start ${told}\n`);
    assert.equal(heard[1]!.length, 80);
    const seconds = Number(heard[1]!.readBigInt64LE(0)) + Number(heard[1]!.readBigInt64LE(8)) / 1e9;
    assert.ok(Math.abs(Date.now() / 1000 - seconds) < patienceSeconds);
    seeds.push(heard[1]!.subarray(16).toString("hex"));
    assert.equal(agent.destroyed, true); // what comes later is the build's
  }
  assert.notEqual(seeds[0], seeds[1]);
});

test("a worker that is silent, asks for something else, draws too much, or whose machine ends, has not started", async () => {
  const start = (agent: Duplex, seconds: number) =>
    startWorker(agent, { tftp: "10.0.2.2:23401" }, seconds, never);
  await assert.rejects(start(worker().agent, 0.05), /says nothing in time/);
  await assert.rejects(start(worker("?", Buffer.alloc(31)).agent, 0.05), /says nothing in time/);
  await assert.rejects(start(worker("!").agent, patienceSeconds), /something unknown/);
  await assert.rejects(start(worker("?", Buffer.alloc(33)).agent, patienceSeconds), /more than it should/);
  const { agent } = worker("?");
  const ended = start(agent, patienceSeconds);
  agent.destroy();
  await assert.rejects(ended, /the machine has ended/);
});

test("the end of the agent ends the waiting with its reason", async () => {
  const stop = new AbortController();
  const waiting = untilReady(worker().agent, patienceSeconds, stop.signal);
  stop.abort(new Error("the agent ends"));
  await assert.rejects(waiting, /the agent ends/);
});
