/** What an agent hears of its controller while it performs a task. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { orWhenOver, SignsOfLife } from "../../../agent/performing/signs-of-life.ts";
import { Cancelled, Interrupted } from "../../../agent/task-state/interruption.ts";
import { Rejection, Unreachable, type Answer } from "../../../agent/wire/answers.ts";
import { silentLog } from "../../../os/log.ts";
import { holdPauses } from "../../fixtures/pauses.ts";

const fine: Answer = { status: 204, headers: {}, body: Buffer.alloc(0) };
const refused = (status: number) =>
  new Rejection("http://c/", { status, headers: {}, body: Buffer.from("no") });

/** Answers one sign after the other; the last one stays open until it is given up. */
function signing(...answers: (Answer | Error)[]) {
  const asked: unknown[] = [];
  const open = Promise.withResolvers<void>();
  const client = {
    ask: async (method: string, url: string, { signal }: { signal?: AbortSignal }, headers?: object) => {
      asked.push([method, url, headers]);
      const next = answers.shift();
      if (next instanceof Error) throw next;
      if (next) return next;
      open.resolve();
      await new Promise((resolve) => signal!.addEventListener("abort", resolve, { once: true }));
      throw signal!.reason;
    },
  };
  return { asked, open: open.promise, signs: new SignsOfLife(client, "http://c/alive", silentLog()) };
}

test("signs go on, also while the controller is away, until nobody waits for the result", async () => {
  using pauses = holdPauses();
  const on = signing(fine, new Unreachable("reach it", "gone"), refused(410));
  const over = new Promise((resolve) => on.signs.over.addEventListener("abort", resolve, { once: true }));
  for (let count = 0; count < 2; count++) (await pauses.next()).end(); // they were answered at once
  await over;
  assert.ok(on.signs.over.reason instanceof Cancelled);
  assert.deepEqual(on.asked, Array(3).fill(["POST", "http://c/alive", { prefer: "wait=15" }]));
  await on.signs[Symbol.asyncDispose]();
});

test("a controller that refuses them otherwise gets no more, and ends nothing", async () => {
  const on = signing(refused(404));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(on.signs.over.aborted, false);
  await on.signs[Symbol.asyncDispose]();
  assert.equal(on.asked.length, 1);
});

test("whoever ends them need not wait for an answer", async () => {
  const on = signing();
  await on.open;
  await on.signs[Symbol.asyncDispose]();
  assert.equal(on.signs.over.aborted, false);
});

test("the end of a session interrupts its task, but not once its result has come", async () => {
  const interruptionOf = (signal: AbortSignal) => ({ signal, [Symbol.dispose]: () => {} });
  const never = new AbortController().signal;
  assert.equal(orWhenOver(interruptionOf(never), undefined).signal, never);
  for (const hasResult of [false, true]) {
    const on = signing(refused(410));
    const interruption = orWhenOver(interruptionOf(never), on.signs);
    if (hasResult) interruption[Symbol.dispose]();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(on.signs.over.aborted, true);
    assert.equal(interruption.signal.aborted, !hasResult);
    await on.signs[Symbol.asyncDispose]();
  }
  const other = new AbortController();
  const on = signing();
  const interruption = orWhenOver(interruptionOf(other.signal), on.signs);
  other.abort(new Interrupted("the agent was stopped"));
  assert.equal((interruption.signal.reason as Error).message, "the agent was stopped");
  await on.signs[Symbol.asyncDispose]();
});
