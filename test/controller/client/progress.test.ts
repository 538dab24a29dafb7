import assert from "node:assert/strict";
import { test } from "node:test";
import { Progress } from "../../../controller/client/tree/progress.ts";

test("what is done within 2 s says nothing, and what takes longer tells how far it is, now and then", () => {
  const said: string[] = [];
  let now = 0;
  const progress = new Progress(
    "packing",
    (line) => said.push(line),
    () => now,
  );
  for (now = 0; now < 2000; now += 100) progress.tell("a");
  assert.deepEqual(said, []);
  for (; now < 12_500; now += 100) progress.tell(String(now));
  assert.deepEqual(said, ["packing: 2000", "packing: 7000", "packing: 12000"]);
});

test("what does not tell how far it is says at least that it goes on", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const said: string[] = [];
  let now = 0;
  const progress = new Progress(
    "packing",
    (line) => said.push(line),
    () => now,
  );
  const work = Promise.withResolvers<number>();
  const done = progress.during("its commits", work.promise);
  for (; now < 8000; now += 500) t.mock.timers.tick(500);
  work.resolve(7);
  assert.equal(await done, 7);
  t.mock.timers.tick(50_000);
  assert.deepEqual(said, ["packing: its commits", "packing: its commits"]);
});
