import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { commitTree, writeWorkTree, type RunGit } from "../../worker/work-tree.ts";

const nobody = ["-c", "user.name=t", "-c", "user.email=t@localhost"];
const anyFile = ["-c", "protocol.file.allow=always"];

async function repository() {
  const directory = await temporaryDirectory("croft-work-tree-");
  const git: RunGit = async (args, env = {}) =>
    execFileSync("git", ["-C", directory.path, ...args], {
      env: { ...process.env, ...env },
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    }).trim();
  await git(["init", "--quiet"]);
  const path = (name: string) => join(directory.path, name);
  return {
    git,
    path,
    temporaryIndex: path(".git/other-index"),
    commit: () => git([...nobody, "commit", "--quiet", "--message", "m"]),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

test("a work tree is written as it is, and its index and branch stay as they are", async () => {
  await using world = await repository();
  const { git, path, temporaryIndex, commit } = world;
  await writeFile(path(".gitignore"), "ignored\n");
  await writeFile(path("kept"), "1\n");
  await writeFile(path("removed"), "1\n");
  await git(["add", "."]);
  await commit();
  await git(["rm", "--quiet", "removed"]);
  await writeFile(path("kept"), "2\n");
  await writeFile(path("new"), "3\n");
  await writeFile(path("ignored"), "4\n");
  const before = [await git(["status", "--porcelain"]), await git(["rev-parse", "HEAD"])];
  const tree = await writeWorkTree(git, temporaryIndex);
  assert.equal(await git(["ls-tree", "--name-only", tree]), ".gitignore\nkept\nnew");
  assert.equal(await git(["cat-file", "-p", `${tree}:kept`]), "2");
  assert.deepEqual([await git(["status", "--porcelain"]), await git(["rev-parse", "HEAD"])], before);
  await assert.rejects(readFile(temporaryIndex), { code: "ENOENT" });
});

test("a work tree without any commit or index is written, too", async () => {
  await using world = await repository();
  const { git, path, temporaryIndex } = world;
  await writeFile(path("a"), "1\n");
  assert.equal(await git(["ls-tree", "--name-only", await writeWorkTree(git, temporaryIndex)]), "a");
});

test("a file that was changed in the moment after it was added is seen", async () => {
  await using world = await repository();
  const { git, path, temporaryIndex, commit } = world;
  // Of a file's times, git looks at the seconds of its modification only.
  await git(["config", "core.checkStat", "minimal"]);
  const moment = new Date(Date.now() - 60_000);
  await writeFile(path("a"), "1\n");
  await utimes(path("a"), moment, moment);
  await git(["add", "."]);
  await commit();
  await utimes(path(".git/index"), moment, moment);
  await writeFile(path("a"), "2\n");
  await utimes(path("a"), moment, moment);
  const tree = await writeWorkTree(git, temporaryIndex);
  assert.equal(await git(["cat-file", "-p", `${tree}:a`]), "2");
});

test("a commit with a date is the same whenever it is made, and says what it is based on", async () => {
  await using world = await repository();
  const { git, path, temporaryIndex } = world;
  await writeFile(path("a"), "1\n");
  const tree = await writeWorkTree(git, temporaryIndex);
  const first = await commitTree(git, tree, "one", { date: "@0 +0000" });
  assert.equal(await git(["show", "-s", "--format=%an %ae %ct %P", first]), "croft croft@localhost 0");
  const next = await commitTree(git, tree, "two", { parent: first });
  assert.equal(await git(["show", "-s", "--format=%P", next]), first);
});

test("a submodule is written as it is checked out, and nothing that its own settings name is run", async () => {
  await using world = await repository();
  await using inner = await repository();
  const { git, path, temporaryIndex, commit } = world;
  await writeFile(inner.path("a"), "1\n");
  await writeFile(inner.path(".gitattributes"), "* filter=own\n");
  await inner.git(["add", "."]);
  await inner.commit();
  await git([...anyFile, "submodule", "--quiet", "add", inner.path("."), "part"]);
  await commit();
  const part = (...args: string[]) => git(["-C", path("part"), ...args]);
  await part("config", "filter.own.clean", `touch ${path("ran")}; cat`);
  await part("config", "core.fsmonitor", `touch ${path("ran")}; false`);
  await writeFile(path("part/a"), "2\n");
  const entries = async () => await git(["ls-tree", await writeWorkTree(git, temporaryIndex)]);
  const first = await part("rev-parse", "HEAD");
  assert.match(await entries(), new RegExp(`^160000 commit ${first}\tpart$`, "m"));
  const isRun = () => existsSync(path("ran"));
  assert.equal(isRun(), false);
  await part(...nobody, "-c", "core.fsmonitor=", "commit", "--quiet", "--allow-empty", "--message", "m");
  await rm(path("ran"), { force: true });
  const second = await part("rev-parse", "HEAD");
  assert.match(await entries(), new RegExp(`^160000 commit ${second}\tpart$`, "m"));
  assert.notEqual(second, first);
  await rename(path("part/.git"), path("part/other"));
  assert.match(await entries(), /^160000 commit [0-9a-f]+\tpart$/m, "not checked out");
  await rm(path("part"), { recursive: true });
  await writeFile(path("part"), "a file");
  assert.match(await entries(), /^100644 blob [0-9a-f]+\tpart$/m, "a file now");
  await rm(path("part"));
  assert.doesNotMatch(await entries(), /part/);
  assert.equal(isRun(), false);
});
