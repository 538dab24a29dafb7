/** How an agent waits at controllers that wake it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { WakeUps } from "../../../agent/asking/wake-ups.ts";
import { Rejection, Unreachable, type Answer } from "../../../agent/wire/answers.ts";
import { silentLog } from "../../../os/log.ts";

const never = new AbortController().signal;
const woken: Answer = { status: 200, headers: {}, body: Buffer.from("ask for a task\n") };
const nothing: Answer = { status: 204, headers: {}, body: Buffer.alloc(0) };
const gone = new Rejection("http://c/", { status: 410, headers: {}, body: Buffer.from("unknown") });
const away = new Unreachable("reach it", "502");

/** Answers one GET after the other; the last one stays open until it is given up. Time goes by with each answer. */
function waiting(...answers: { after?: number; answer: Answer | Error }[]) {
  let now = 0;
  const asked: string[] = [];
  const declined: string[] = [];
  const open = Promise.withResolvers<void>();
  let closed = false;
  const client = {
    ask: async (
      method: string,
      url: string,
      { signal }: { signal?: AbortSignal },
      headers: Record<string, string> = {},
    ) => {
      if (method === "DELETE") {
        declined.push(url);
        return nothing;
      }
      asked.push(`${url} ${headers["prefer"]}`);
      const next = answers.shift();
      if (next) {
        now += (next.after ?? 45) * 1000;
        if (next.answer instanceof Error) throw next.answer;
        return next.answer;
      }
      open.resolve();
      await new Promise((resolve) => signal!.addEventListener("abort", resolve, { once: true }));
      closed = true;
      throw signal!.reason;
    },
  };
  const pauses: number[] = [];
  const wakeUps = new WakeUps({
    client,
    log: silentLog(),
    ...{ now: () => now, random: () => 0 },
    sleep: async (seconds) => void pauses.push(seconds),
  });
  const round = () => {
    wakeUps.begin();
    wakeUps.asked("c");
    wakeUps.told("c", "http://c/wake");
    wakeUps.settle(false);
  };
  return { wakeUps, asked, declined, pauses, open: open.promise, isClosed: () => closed, round };
}

test("an agent waits again after nothing came, also where a proxy gave up, and is woken", async () => {
  const on = waiting({ answer: nothing }, { after: 30, answer: away }, { answer: woken });
  on.round();
  await on.wakeUps.wait(3600, never);
  assert.deepEqual(on.asked, Array<string>(3).fill("http://c/wake wait=45"));
});

test("an offer that the controller does not know is made anew", async () => {
  const on = waiting({ answer: gone });
  on.round();
  await on.wakeUps.wait(3600, never);
  assert.equal(on.asked.length, 1);
});

for (const [what, answer] of [
  ["refuses", new Rejection("http://c/", { status: 404, headers: {}, body: Buffer.alloc(0) })],
  ["is away", away],
  ["answers at once that there is nothing", nothing],
] as const)
  test(`a controller that ${what} is tried again soon, then less often; others may wake the agent meanwhile`, async () => {
    const failures = Array.from({ length: 7 }, () => ({ after: 0.1, answer }));
    const on = waiting(...failures);
    on.round();
    const stop = new AbortController();
    const waited = on.wakeUps.wait(3600, stop.signal);
    await on.open; // back again
    stop.abort();
    await waited;
    assert.deepEqual(on.pauses, [0.5, 1, 2, 4, 8, 15, 15], "between a half of it and the whole, by chance");
    assert.deepEqual(on.asked, Array<string>(8).fill("http://c/wake wait=45"));
    assert.ok(on.isClosed(), "no connection stays open");
  });

test("a controller that could be waited at is tried again soon when it is away once more", async () => {
  const failure = { after: 0.1, answer: away };
  const on = waiting(failure, failure, { answer: nothing }, failure, { after: 30, answer: away }, failure, {
    answer: woken,
  });
  on.round();
  await on.wakeUps.wait(3600, never);
  assert.deepEqual(on.pauses, [0.5, 1, 0.5, 0.5]);
});

test("the time of a sleep ends the wait, and its connection", async () => {
  const on = waiting();
  on.round();
  await on.wakeUps.wait(0.01, never);
  assert.ok(on.isClosed());
});

test("a controller that woke the agent is told when its build is for another; not if it was asked", async () => {
  const on = waiting({ answer: woken }, { answer: woken });
  on.round();
  await on.wakeUps.wait(3600, never);
  on.round(); // it is asked, and gives nothing
  assert.deepEqual(on.declined, []);
  await on.wakeUps.wait(3600, never);
  on.wakeUps.begin();
  on.wakeUps.settle(false); // there was no machine to offer
  assert.deepEqual(on.declined, ["http://c/wake"]);
  on.wakeUps.begin();
  on.wakeUps.settle(false);
  assert.equal(on.declined.length, 1, "once");
});

test("only this round's controllers are waited at", async () => {
  const on = waiting();
  on.round();
  on.wakeUps.begin();
  on.wakeUps.settle(false);
  await on.wakeUps.wait(0.01, never);
  assert.deepEqual(on.asked, []);
});

test("after three wake-ups that came to nothing the agent sleeps a while before it waits again", async () => {
  const on = waiting(...Array.from({ length: 4 }, () => ({ after: 1, answer: woken })));
  on.round();
  for (let count = 0; count < 4; count++) {
    await on.wakeUps.wait(3600, never);
    on.round();
  }
  await on.wakeUps.wait(0.05, never); // shorter than that sleep
  assert.equal(on.asked.length, 4);
});
