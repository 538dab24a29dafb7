import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteBudget, type HeldBytes } from "../../../controller/files/byte-budget.ts";

const longMs = 60_000;

test("of a budget of bytes all is given, to those who came first, and what is larger than all of it in its turn", async () => {
  const budget = new ByteBudget(10);
  const first = (await budget.take(6, longMs))!;
  const begun: string[] = [];
  const take = async (name: string, bytes: number): Promise<HeldBytes> => {
    const held = (await budget.take(bytes, longMs))!;
    begun.push(name);
    return held;
  };
  const large = take("large", 1000);
  const small = take("small", 1);
  await new Promise(setImmediate);
  assert.deepEqual(begun, [], "a small one does not pass by those who were before it");
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  (await large)[Symbol.dispose]();
  (await small)[Symbol.dispose]();
  assert.deepEqual(begun, ["large", "small"]);
  using _all = (await budget.take(10, 0))!;
  assert.ok(_all, "all of it was given back, once");
});

test("who waits too long for a budget of bytes leaves, and is in nobody's way", async () => {
  const budget = new ByteBudget(10);
  const held = (await budget.take(5, longMs))!;
  const late = budget.take(10, 20);
  const next = budget.take(5, longMs);
  assert.equal(await late, undefined);
  using _next = (await next)!;
  held[Symbol.dispose]();
});
