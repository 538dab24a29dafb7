/** How long targets took: an order for the next run, and never a failure of this one. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Durations } from "../../../boss/dispatch/durations.ts";
import { Pool } from "../../../boss/dispatch/pool.ts";
import type { Host } from "../../../boss/hosts/hosts.ts";
import { Matrix } from "../../../boss/matrix/matrix.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

const host: Host = { name: "alpha", destination: "alpha", workDirectory: "~/w" };
const targets = ["a", "b", "c", "d"].map((name) => ({ name, arch: "sandbox" }));
const none = { architectures: new Set<string>(), fits: () => true };

/** Positions in the order in which they are given out. */
function orderOf(pool: Pool): number[] {
  const order = [];
  for (let next = pool.take(none); next !== undefined; next = pool.take(none)) order.push(next);
  return order;
}

test("the next run begins with what is unknown, and then with what took longest", async (t) => {
  await using directory = await temporaryDirectory("croft-test-durations-");
  const matrix = new Matrix(targets, [{ hash: null, subject: "" }]);
  let now = 1_000_000;
  t.mock.method(performance, "now", () => now);
  const durations = new Durations(directory.path);
  const { given, complete } = durations.observer(matrix);
  for (const target of [0, 1, 3]) given!(host, target);
  for (const [target, seconds] of [
    [1, 1],
    [3, 2.5],
    [0, 0.2345],
  ] as const) {
    now = 1_000_000 + seconds * 1000;
    complete!(host, target);
  }
  durations.save();
  const later = new Durations(directory.path);
  assert.deepEqual(
    targets.map((target) => later.of(target)),
    [0.235, 1, undefined, 2.5],
    "in seconds, to a millisecond",
  );
  assert.deepEqual(orderOf(new Pool(targets, [0, 1, 2, 3], (target) => later.of(target))), [2, 3, 1, 0]);
});

test("a target that was complete from the start took no time", async () => {
  await using directory = await temporaryDirectory("croft-test-durations-");
  const durations = new Durations(directory.path);
  durations.observer(new Matrix(targets, [{ hash: null, subject: "" }])).complete!(host, 2);
  assert.ok(durations.of(targets[2]!)! < 1);
});

test("of a file that is missing or not ours nothing is known, and what is a number in it counts", async () => {
  await using directory = await temporaryDirectory("croft-test-durations-");
  assert.equal(new Durations(directory.path).of(targets[0]!), undefined);
  for (const text of ["", "null", "7", '"a"', '[{"a": 1}]', '{"a": "1"}', '{"a": null}', '{"a": 1']) {
    writeFileSync(join(directory.path, ".croft-durations.json"), text);
    assert.equal(new Durations(directory.path).of(targets[0]!), undefined, text);
  }
  writeFileSync(join(directory.path, ".croft-durations.json"), '{"a": 3, "b": "x"}');
  assert.equal(new Durations(directory.path).of(targets[0]!), 3);
});

test("that they cannot be written is no failure of the run", async () => {
  await using directory = await temporaryDirectory("croft-test-durations-");
  const durations = new Durations(join(directory.path, "none"));
  durations.save();
});
