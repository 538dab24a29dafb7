import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { onceForAll } from "../../os/once-for-all.ts";

/** Looks that end when the test wants, each with its number. */
function looks() {
  const ends: PromiseWithResolvers<string>[] = [];
  const look = onceForAll((_key: string) => {
    const end = Promise.withResolvers<string>();
    ends.push(end);
    return end.promise;
  });
  return { ends, look };
}

/** All that is about to begin has begun. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await setImmediate();
}

test("who asks while work is done gets what is done next, all of them the same", async () => {
  const { ends, look } = looks();
  const first = look("x");
  await settled();
  const later = [look("x"), look("x"), look("x")];
  await settled();
  assert.equal(ends.length, 1, "one at a time");
  ends[0]!.resolve("old");
  assert.equal(await first, "old");
  await settled();
  assert.equal(ends.length, 2);
  const evenLater = look("x");
  ends[1]!.resolve("new");
  assert.deepEqual(await Promise.all(later), ["new", "new", "new"]);
  await settled();
  ends[2]!.resolve("newest");
  assert.equal(await evenLater, "newest", "it may have begun before it was asked for");
});

test("what fails is told to those who asked for it, and the next is done all the same", async () => {
  const { ends, look } = looks();
  const first = look("x");
  await settled();
  const second = look("x");
  ends[0]!.reject(new Error("away"));
  await assert.rejects(first, /away/);
  await settled();
  ends[1]!.resolve("back");
  assert.equal(await second, "back");
});

test("what is asked for with other words does not wait", async () => {
  const { ends, look } = looks();
  const [one, other] = [look("x"), look("y")];
  await settled();
  assert.equal(ends.length, 2);
  ends[1]!.resolve("y");
  assert.equal(await other, "y");
  ends[0]!.resolve("x");
  assert.equal(await one, "x");
});
