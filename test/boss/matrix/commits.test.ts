import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { commitDirectory } from "../../../boss/results/store.ts";
import { describeCommits, selectCommits } from "../../../boss/matrix/commits.ts";
import { UsageFailure } from "../../../os/failure.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { git, makeSourceHistory } from "../../fixtures/source-history.ts";

async function history(steps: number, use: (source: string, commits: readonly string[]) => Promise<void>) {
  await using directory = await temporaryDirectory("croft-test-commits-");
  const source = join(directory.path, "project");
  const { commits } = makeSourceHistory(
    source,
    { t: {} },
    Array.from({ length: steps }, () => ({})),
  );
  await use(source, commits);
}

const hashes = (commits: readonly { hash: string | null }[]) => commits.map(({ hash }) => hash);

test("whatever names several commits is a range, as a branch, too", async () => {
  await history(4, async (source, commits) => {
    for (const selection of [
      { branch: `${commits[0]}..main` },
      { range: `${commits[0]}..main` },
      { range: `${commits[0]}...main` },
    ])
      assert.deepEqual(hashes((await selectCommits(source, selection)).commits), commits.slice(1));
    const { commits: last } = await selectCommits(source, { branch: `${commits[0]}..main`, count: 2 });
    assert.deepEqual(hashes(last), commits.slice(2));
    assert.deepEqual(hashes((await selectCommits(source, { range: "main^!" })).commits), commits.slice(3));
    assert.deepEqual(hashes((await selectCommits(source, { range: "main" })).commits), commits.slice(3));
  });
});

test("of a range, only each so-many-th commit is built, or just the first and the last", async () => {
  await history(5, async (source, commits) => {
    const stepped = async (step: number) => hashes((await selectCommits(source, { count: 5, step })).commits);
    assert.deepEqual(await stepped(1), commits);
    assert.deepEqual(await stepped(2), [commits[0], commits[2], commits[4]]);
    assert.deepEqual(await stepped(3), [commits[0], commits[3]]);
    assert.deepEqual(await stepped(0), [commits[0], commits[4]]);
    const [, last] = (await selectCommits(source, { count: 5, step: 3 })).commits;
    assert.match(commitDirectory(last!, 1), /^04_g/, "as buildman numbers it");
  });
});

test("of a branch without a count, what its upstream does not have; without an upstream, that is said", async () => {
  await history(4, async (source, commits) => {
    const alone = await selectCommits(source, { branch: "main" });
    assert.deepEqual(hashes(alone.commits), commits.slice(3));
    assert.match(alone.notes.join(), /^Branch 'main' has no upstream: only its last commit is built/);
    git(source, ["branch", "base", commits[1]!]);
    git(source, ["branch", "--quiet", "--set-upstream-to=base", "main"]);
    const { commits: own, notes } = await selectCommits(source, { branch: "main" });
    assert.deepEqual([hashes(own), notes], [commits.slice(2), []]);
    const { commits: three } = await selectCommits(source, { branch: "main", count: 3 });
    assert.deepEqual(hashes(three), commits.slice(1));
  });
});

test("a shallow clone that has fewer commits than are asked for says so", async () => {
  await history(4, async (source, commits) => {
    const clone = `${source}-shallow`;
    git(source, ["clone", "--quiet", "--depth=2", `file://${source}`, clone]);
    const { commits: there, notes } = await selectCommits(clone, { count: 3 });
    assert.deepEqual(hashes(there), commits.slice(2));
    assert.match(notes.join(), /^Only 2 of 3 commits are there, as .* is a shallow clone/);
  });
});

test("commits are described in the order of the history, whatever their dates are", async () => {
  await using directory = await temporaryDirectory("croft-test-commits-");
  const source = directory.path;
  git(source, ["init", "--quiet", "--initial-branch=main"]);
  const commit = (at: number, time: number) =>
    `commit refs/heads/main\ncommitter D <d@example.org> ${time} +0000\ndata 2\n${at}\n\n`;
  const times = [1000, 1000, 1000, 900, 1000, 1000]; // shared seconds, and a clock that went back
  git(source, ["fast-import", "--quiet"], times.map((time, at) => commit(at, time)).join(""));
  const all = git(source, ["rev-list", "--reverse", "--topo-order", "main"]).trim().split("\n");
  const asked = [all[4]!, all[2]!, all[5]!, all[1]!];
  const described = (await describeCommits(source, asked))!;
  assert.deepEqual(hashes(described), [all[1], all[2], all[4], all[5]]);
  assert.deepEqual(
    described.map(({ subject }) => subject),
    ["1", "2", "4", "5"],
  );
  assert.equal(await describeCommits(source, [all[1]!, "0".repeat(40)]), undefined);
  assert.deepEqual(hashes((await describeCommits(source, [all[0]!]))!), [all[0]]);
});

test("commits of SHA-256 repositories have their whole names", async () => {
  await using directory = await temporaryDirectory("croft-test-commits-");
  const source = directory.path;
  git(source, ["init", "--quiet", "--object-format=sha256"]);
  git(source, ["commit", "--quiet", "--allow-empty", "--message=One: two"]);
  const hash = git(source, ["rev-parse", "HEAD"]).trim();
  assert.equal(hash.length, 64);
  const expected = [{ hash, subject: "One: two" }];
  assert.deepEqual((await selectCommits(source, { count: 1 })).commits, expected);
  assert.deepEqual(await describeCommits(source, [hash]), expected);
});

test("of a history that ends without a word, the missing commit is named, and what can be done", async () => {
  await history(4, async (source, [first, second, ...last]) => {
    rmSync(join(source, ".git/objects", first!.slice(0, 2), first!.slice(2)));
    await assert.rejects(selectCommits(source, { count: 3 }), (error) => {
      assert.ok(error instanceof UsageFailure);
      assert.match(error.message, new RegExp(`: commit ${first} of its history is not here$`));
      assert.match(error.hints.join("\n"), /git fetch --refetch/);
      return true;
    });
    assert.deepEqual(hashes((await selectCommits(source, { count: 2 })).commits), last);
    writeFileSync(join(source, ".git/shallow"), `${second}\n`);
    assert.deepEqual(hashes((await selectCommits(source, { count: 4 })).commits), [second, ...last]);
  });
});
