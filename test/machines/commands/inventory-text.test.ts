/** The words of `croft machine list`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatList } from "../../../machines/commands/inventory-text.ts";

const held = { machine: "m", toolchain: "default", instance: 1, pid: 7, reason: "no sign of life" };

test("a machine that is held is told as suspended, or resumed, with what can be done", () => {
  for (const [runs, expected] of [
    [false, /pid 7, suspended, held for you \(no sign of life\): croft machine console\|resume\|kill m/],
    [true, /pid 7, resumed, held for you \(no sign of life\): croft machine console\|kill m/],
  ] as const) {
    const machine = { name: "m", volume: "v", bootstrapped: "yes", holder: { pid: 7 } } as const;
    const since = "2026-01-02T03:04:05Z";
    assert.match(formatList([{ ...machine, held: { ...held, since, runs } }]), expected);
  }
});

test("a lock of an agent that others may not ask is told as what it may be", () => {
  const machine = { name: "m", volume: "v", bootstrapped: "yes", holder: { pid: 7 } } as const;
  assert.match(formatList([machine]), /pid 7, bootstrapping or suspended/);
});

test("a machine that serves the builds of others is told as one", () => {
  const machine = { name: "linux-db", volume: "v", bootstrapped: "yes", summary: "a database" } as const;
  assert.match(formatList([{ ...machine, role: "auxiliary" }]), /auxiliary: a database$/m);
});
