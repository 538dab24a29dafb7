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
