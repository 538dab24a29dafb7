import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { describePlan, describeTargets } from "../../../boss/planned-text.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

const targets = [
  { name: "one", arch: "arm" },
  { name: "two", arch: "mips" },
  { name: "three", arch: "sandbox" },
];

test("a dry run tells targets, terms and commits, and what is there already, and renames nothing", async () => {
  await using output = await temporaryDirectory("croft-test-planned-");
  const commits = ["a", "b"].map((digit) => ({ hash: digit.repeat(40), subject: `Step ${digit}` }));
  const there = `07_g${commits[1]!.hash}_Step-b`;
  mkdirSync(join(output.path, there, "two"), { recursive: true });
  writeFileSync(join(output.path, there, "two", "done"), "0\n");
  const plan = { targets, commits, counts: new Map([["m.*", 1]]), output: output.path };
  assert.deepEqual(describePlan(plan, ["local", "alpha"]), [
    "01: aaaaaaaaaaaa Step a",
    "02: bbbbbbbbbbbb Step b",
    "m.*: 1 boards",
    "3 targets: 1 arm, 1 mips, 1 sandbox",
    `6 results, 1 of them there already, in ${output.path}`,
    "hosts: local, alpha",
  ]);
  assert.deepEqual(readdirSync(output.path), [there]);
  const absent = { ...plan, output: join(output.path, "none") };
  assert.match(describePlan(absent, []).join(), /6 results, 0 of them/);
  assert.deepEqual(readdirSync(output.path), [there]);
});

test("a list of targets tells which hosts have a compiler for each", () => {
  const reports = [
    { host: "local", toolchains: ["arm"] },
    { host: "alpha", toolchains: ["arm"] },
    { host: "gone", problem: "no route" },
  ];
  assert.equal(
    describeTargets(targets, reports),
    "target  arch     hosts\none     arm      local, alpha\ntwo     mips     none has a compiler for mips\nthree   sandbox  local, alpha\n",
  );
});
