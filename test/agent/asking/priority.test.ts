/** The table of priorities: what is expected is written in digits, what is tested computes with numbers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { resourcesFor } from "../../../agent/performing/boost.ts";
import { levelsOf, permissionOf, tasksToInterrupt, type Load } from "../../../agent/asking/priority.ts";

interface Task {
  priority: number;
  name?: string;
}

const load = (instanceMax: number, ...priorities: number[]): Load<Task> => ({
  instanceMax,
  held: priorities.length,
  running: priorities.map((priority) => ({ priority })),
});

/** The first so many digits of DCBA. */
const digits = (priority: number, count: number) =>
  String(priority)
    .padStart(5, "0")
    .slice(1, 1 + count);

/** Every digit smallest, next to it, in the middle and greatest, in every place, boosted or not. */
function priorities(): number[] {
  const values = ["0", "1", "5", "9"];
  const all = values.flatMap((d) =>
    values.flatMap((c) => values.flatMap((b) => values.map((a) => d + c + b + a))),
  );
  return ["", "1"].flatMap((f) => all.map((text) => Number(f + text)));
}

function* pairs(): Generator<[number, number]> {
  const all = priorities();
  for (const q of all) for (const p of all) yield [q, p];
  // And any others, reproducibly (a linear congruential generator).
  let state = 1;
  const next = () => (state = (state * 1103515245 + 12345) % 2 ** 31) % 20_000;
  for (let count = 0; count < 50_000; count++) yield [next(), next()];
}

/** What the rules say of a controller `q` and the one running task `p`. */
function expected(q: number, p: number) {
  const heldBack = digits(q, 3) < digits(p, 3);
  const mayInterrupt = !heldBack && digits(q, 2) > digits(p, 2);
  return { heldBack, mayInterrupt, interruptsAll: digits(q, 1) > digits(p, 1) };
}

/** Compares without the cost of assert's messages; the pair is in the message if they differ. */
function same(q: number, p: number, what: string, actual: unknown, wanted: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(wanted))
    assert.deepEqual(actual, wanted, `${q} ${p}: ${what}`);
}

test("for every pair of priorities: whether a controller is asked, and for which machines", () => {
  let count = 0;
  for (const [q, p] of pairs()) {
    const { heldBack, mayInterrupt } = expected(q, p);
    const refused = { ask: false, reason: "a running task holds it back" };
    const asked = { ask: true, interruptible: mayInterrupt ? [{ priority: p }] : [] };
    same(q, p, "an instance is free", permissionOf(q, load(2, p)), heldBack ? refused : asked);
    const busy = mayInterrupt ? asked : { ask: false, reason: "no instance is free" };
    same(q, p, "no instance is free", permissionOf(q, load(1, p)), heldBack ? refused : busy);
    same(q, p, "no maximum", permissionOf(q, load(0, p)), { ask: true, interruptible: [] });
    count++;
  }
  assert.ok(count > 300_000);
});

test("for every pair of priorities: whether a task gives way to one that was given", () => {
  for (const [q, p] of pairs()) {
    const { mayInterrupt, interruptsAll, heldBack } = expected(q, p);
    if (heldBack) continue; // not asked
    const task = { priority: p };
    const running = (instanceMax: number) => ({ instanceMax, held: 1, running: [task] });
    const yes = [{ priority: p }];
    same(q, p, "another machine", tasksToInterrupt(q, running(2), undefined), interruptsAll ? yes : []);
    same(q, p, "its machine", tasksToInterrupt(q, running(2), task), mayInterrupt ? yes : []);
    same(q, p, "its instance", tasksToInterrupt(q, running(1), undefined), mayInterrupt ? yes : []);
    same(q, p, "both", tasksToInterrupt(q, running(1), task), mayInterrupt ? yes : []);
    same(q, p, "no maximum", tasksToInterrupt(q, running(0), task), []);
  }
});

test("levels are the leading digits; F is none of them", () => {
  assert.deepEqual(levelsOf(0), { dcba: 0, dcb: 0, dc: 0, d: 0, boost: false });
  assert.deepEqual(levelsOf(12345), { dcba: 2345, dcb: 234, dc: 23, d: 2, boost: true });
  assert.deepEqual(levelsOf(19999), { dcba: 9999, dcb: 999, dc: 99, d: 9, boost: true });
  assert.deepEqual(levelsOf(100), { dcba: 100, dcb: 10, dc: 1, d: 0, boost: false });
});

/** Tasks by name; machines that are held without a task count as busy. */
function host(instanceMax: number, tasks: Record<string, number>, others = 0): Load<Task> {
  const running = Object.entries(tasks).map(([name, priority]) => ({ name, priority }));
  return { instanceMax, held: running.length + others, running };
}

function interrupted(q: number, on: Load<Task>, needed?: string): (string | undefined)[] {
  const task = on.running.find(({ name }) => name === needed);
  return tasksToInterrupt(q, on, task).map(({ name }) => name);
}

test("level C interrupts one task: the one on its machine, or else, if no instance is free, the lowest", () => {
  const four = { a: 12, b: 1, c: 150, d: 203 };
  assert.deepEqual(interrupted(300, host(4, four), "a"), ["a"], "that frees its instance too");
  assert.deepEqual(interrupted(300, host(4, four)), ["b"]);
  assert.deepEqual(interrupted(300, host(5, four)), [], "an instance is free");
  assert.deepEqual(interrupted(200, host(4, four)), ["b"]);
  assert.deepEqual(interrupted(100, host(2, { c: 100, d: 203 })), [], "none is lower");
  assert.deepEqual(
    interrupted(10100, host(2, { c: 19099, d: 10001 })),
    ["d"],
    "F is no reason to stay, and not to go",
  );
  assert.deepEqual(interrupted(300, host(2, { a: 5, b: 5 })), ["a"], "of equal ones the first");
});

test("more machines held than instances may be busy: its machine's task and the lowest give way", () => {
  assert.deepEqual(interrupted(300, host(2, { a: 12, b: 1 }, 1), "a"), ["a", "b"]);
  assert.deepEqual(interrupted(300, host(2, { a: 12, b: 1 }, 1), "b"), ["b", "a"]);
  assert.deepEqual(interrupted(300, host(2, { a: 12 }, 2), "a"), ["a"], "never one that is not running");
});

test("level D interrupts all tasks of lower D, and one of lower C as well if it needs that", () => {
  assert.deepEqual(interrupted(1000, host(4, { a: 900, b: 0, c: 999 })), ["b", "a", "c"]);
  assert.deepEqual(interrupted(2100, host(4, { a: 1900, b: 2000, c: 2100 })), ["a"]);
  assert.deepEqual(interrupted(2100, host(4, { a: 1900, b: 2000, c: 2100 }), "b"), ["a", "b"]);
  assert.deepEqual(interrupted(2100, host(2, { b: 2000, c: 2100 })), ["b"], "only D itself makes it for all");
  assert.deepEqual(interrupted(1000, host(3, {}, 3)), [], "bootstrapping and suspended machines stay");
});

test("the machines of the least important tasks are offered first", () => {
  const permission = permissionOf(1000, host(4, { a: 300, b: 4, c: 21 }));
  assert.ok(permission.ask);
  assert.deepEqual(
    permission.interruptible.map(({ name }) => name),
    ["b", "c", "a"],
  );
});

test("a host whose instances all bootstrap or are suspended asks nobody", () => {
  assert.deepEqual(permissionOf(9999, host(2, {}, 2)), { ask: false, reason: "no instance is free" });
});

test("a boosted machine gets what all instances together have, as far as the host has it", () => {
  const settings = { cpus: 2, ramKiB: 1000, instanceMax: 3 };
  const large = { cpus: 64, ramKiB: 100_000 };
  assert.deepEqual(resourcesFor(11000, settings, large), { cpus: 6, ramKiB: 3000 });
  assert.deepEqual(resourcesFor(11000, settings, { cpus: 4, ramKiB: 2500 }), { cpus: 4, ramKiB: 2500 });
  assert.deepEqual(resourcesFor(11000, settings, { cpus: 1, ramKiB: 500 }), { cpus: 2, ramKiB: 1000 });
  for (const priority of [0, 9999, 1000, 10000, 10999])
    assert.deepEqual(resourcesFor(priority, settings, large), { cpus: 2, ramKiB: 1000 }, `${priority}`);
  const alone = { ...settings, instanceMax: 0 };
  assert.deepEqual(resourcesFor(11000, alone, large), { cpus: 2, ramKiB: 1000 }, "no maximum");
});
