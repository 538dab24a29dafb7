/** What an agent shows its controllers of the sessions that it holds, and hears of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { orWhenOver, SignsOfLife } from "../../../agent/task-state/signs-of-life.ts";
import { Cancelled, Interrupted } from "../../../agent/task-state/interruption.ts";
import { Rejection, Unreachable, type Answer } from "../../../agent/wire/answers.ts";
import { formatEndedSessions, parseSigns } from "../../../manifests/own/signs.ts";
import { silentLog } from "../../../os/log.ts";
import { holdPauses } from "../../fixtures/pauses.ts";

const fine: Answer = { status: 204, headers: {}, body: Buffer.alloc(0) };
const ended = (...sessions: string[]): Answer => ({
  ...{ status: 200, headers: {} },
  body: Buffer.from(formatEndedSessions(sessions.map((session) => ({ session, state: "cancelled" })))),
});
const refused = new Rejection("http://c/", { status: 404, headers: {}, body: Buffer.from("no") });
const url = "http://c/alive";
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Answers one request after the other; those beyond stay open until they are given up. */
function signing(...answers: (Answer | Error)[]) {
  const asked: string[] = [];
  const client = {
    ask: async (
      method: string,
      to: string,
      { signal }: { signal?: AbortSignal },
      headers?: Record<string, string>,
      body?: Uint8Array,
    ) => {
      const signs = parseSigns(body!).map(({ session, phase }) => `${session} ${phase}`);
      asked.push([method, to, headers!["prefer"], ...signs].join(", "));
      const next = answers.shift();
      if (next instanceof Error) throw next;
      if (next) return next;
      await new Promise((resolve) => signal!.addEventListener("abort", resolve, { once: true }));
      throw signal!.reason;
    },
  };
  return { asked, signs: new SignsOfLife(client, silentLog()) };
}

const post = (...signs: string[]) => ["POST", url, "wait=15", ...signs].join(", ");

test("signs go on, also while the controller is away or refuses them, until nobody waits for the result", async () => {
  using pauses = holdPauses();
  const on = signing(fine, new Unreachable("reach it", "gone"), refused, ended("other", "s"));
  const over = on.signs.show({ session: "s", aliveUrl: url }, "building")!;
  for (let count = 0; count < 3; count++) (await pauses.next()).end(); // they were answered at once
  (await pauses.next()).end();
  assert.ok(over.reason instanceof Cancelled);
  assert.deepEqual(on.asked, Array(4).fill(post("s building")));
  await on.signs[Symbol.asyncDispose]();
});

test("one request carries all sessions of a controller, anew when something about them has changed", async () => {
  const on = signing();
  const s = { session: "s", aliveUrl: url };
  on.signs.show(s, "building");
  on.signs.show({ session: "t", aliveUrl: url }, "delivering");
  on.signs.show({ session: "u", aliveUrl: "http://d/alive" }, "deciding");
  assert.equal(on.signs.show({ session: "v" }, "building"), undefined, "its controller wants none");
  await turn();
  on.signs.show(s, "building"); // as it was
  await turn();
  on.signs.show(s, "deciding");
  await turn();
  on.signs.end("t");
  on.signs.end("nobody");
  await turn();
  on.signs.end("s");
  await turn();
  on.signs.show(s, "delivering");
  await turn();
  assert.deepEqual(on.asked, [
    post("s building", "t delivering"),
    "POST, http://d/alive, wait=15, u deciding",
    post("s deciding", "t delivering"),
    post("s deciding"),
    post("s delivering"),
  ]);
  await on.signs[Symbol.asyncDispose]();
  assert.equal(on.signs.show(s, "building"), undefined);
});

test("the end of a session interrupts its task, but not once its result has come", async () => {
  const interruptionOf = (signal: AbortSignal) => ({ signal, [Symbol.dispose]: () => {} });
  const never = new AbortController().signal;
  assert.equal(orWhenOver(interruptionOf(never), undefined, () => {}).signal, never);
  for (const hasResult of [false, true]) {
    const over = new AbortController();
    let decided = 0;
    const interruption = orWhenOver(interruptionOf(never), over.signal, () => decided++);
    if (hasResult) for (let count = 0; count < 2; count++) interruption[Symbol.dispose]();
    over.abort(new Cancelled("over"));
    assert.deepEqual([interruption.signal.aborted, decided], [!hasResult, Number(hasResult)]);
  }
  const other = new AbortController();
  const interruption = orWhenOver(interruptionOf(other.signal), never, () => {});
  other.abort(new Interrupted("the agent was stopped"));
  assert.equal((interruption.signal.reason as Error).message, "the agent was stopped");
});
