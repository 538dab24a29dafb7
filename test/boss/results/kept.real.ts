/** What is kept of builds besides messages and sizes, and what the summary makes of it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeDesk } from "../desk.ts";
import { runBoss } from "../running-boss.ts";

test("what builds have made is kept with digests, and changes of configuration and functions are told", async () => {
  const steps = [{}, { reconfigures: ["a", "b"] }];
  await using world = await makeDesk(["a", "b"], steps, () => [
    ...["--recipe", "u-boot", "--count", "2", "--local-only", "--hosts", "nowhere"],
    ...["-k", "--keep", "board/*.o", "-K", "-B"],
  ]);
  const { directory } = world.history;
  const { status, stdout, stderr } = await runBoss(world.args, world, directory);
  assert.equal(status, 0, stderr);
  assert.doesNotMatch(stderr, /nowhere/);
  const change = /^ {4}c a, b: u-boot\.cfg: CONFIG_GENERATION: 0 -> 1$/m;
  const functions =
    /^ {4}f a:\n {8}u-boot: 0 added, 0 removed, 1 grown, 0 shrunk; \+\d+ -0 bytes\n {8}\+\d+ version /m;
  for (const told of [change, functions]) assert.match(stdout, told);
  const [first] = readdirSync(world.output).filter((name) => name.startsWith("01_g"));
  const result = join(world.output, first!, "a");
  const { stdout: checked } = spawnSync("sha256sum", ["-c", "sha256sums"], { cwd: result, encoding: "utf8" });
  assert.deepEqual(checked.trim().split("\n").sort(), ["a.o: OK", "u-boot.cfg: OK", "u-boot: OK"]);
  assert.ok(readFileSync(join(result, "u-boot")).subarray(0, 4).equals(Buffer.from("\x7fELF", "latin1")));
  assert.ok(!existsSync(join(world.output, ".croft-incoming")));
  const report = await runBoss(["report", "--output", world.output, "-K"], world, directory);
  assert.match(report.stdout, change);
  assert.doesNotMatch(report.stdout, functions);
});

test("another worker than croft's is refused where it would keep nothing", async () => {
  await using world = await makeDesk(["a"], [{}], () => ["--worker-command", "exec false"]);
  for (const option of ["--keep-outputs", "--keep=*.bin", "--details"]) {
    const { status, stderr } = await runBoss([...world.args, option], world, world.history.directory);
    assert.equal(status, 2);
    assert.match(stderr, /Cannot build with --(?:keep-outputs|keep|details): another worker/);
  }
});
