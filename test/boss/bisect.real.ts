/** `croft boss bisect` with real builds on this machine. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { git } from "../fixtures/source-history.ts";
import { makeDesk } from "./desk.ts";
import { runBoss } from "./running-boss.ts";

const steps = [{ warns: ["t"] }, { warns: ["t"], breaks: ["t"], subject: "Break t" }] as const;

test("the first bad commit is told along first parents, with its new error, and what a merge brings", async () => {
  await using world = await makeDesk(["t"], steps, () => []);
  const { directory: source, commits } = world.history;
  const [good, tip] = commits.map((hash) => hash.slice(0, 12));
  const bisect = (range: string) =>
    runBoss(["bisect", "--output", world.output, range, "t:sandbox"], world, source);
  git(source, ["checkout", "--quiet", "-b", "other", commits[0]!]);
  git(source, ["merge", "--quiet", "--no-ff", "--message=Merge", "main"]);

  const found = await bisect(`${good}..other`);
  assert.equal(found.status, 0, found.stderr);
  const line =
    /^t: first bad commit is [0-9a-f]{40} Merge\n {4}\S+: error: .*\n {4}it is a merge: (.*)\n {4}\d+ builds/;
  assert.match(found.stdout, line);
  assert.equal(line.exec(found.stdout)![1], `bisect what it brings with ${good}..${tip}`);
  assert.match(found.stderr, new RegExp(`^local: ${good} .* builds$`, "m"));
  assert.doesNotMatch(found.stderr, /Break t/);

  for (const [range, reason] of [
    ["other..main~1", "'main~1' does not come after 'other'"],
    ["main", "expected GOOD..BAD"],
    ["none..main", "there is no commit 'none'"],
  ] as const) {
    const refused = await bisect(range);
    assert.ok(refused.stderr.includes(reason), refused.stderr);
    assert.equal(refused.status, 2);
  }
});
