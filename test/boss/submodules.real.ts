/** Submodules are brought to the hosts with their files, from what is at the desk; nothing that a tree names of them is run. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { git } from "../fixtures/source-history.ts";
import { makeDesk, type Desk } from "./desk.ts";
import { runBoss } from "./running-boss.ts";

/** Prints the files of the source, with their content, and which commit git takes it for. */
const recipe = `recipe: {build: "git rev-parse HEAD; grep -r '' --include=*.txt . | sort"}\n`;

const desk = () =>
  makeDesk(["t"], [{}], (directory) => {
    writeFileSync(join(directory, "croft.yaml"), recipe);
    return ["--json", "--config", join(directory, "croft.yaml"), "--work-dir", join(directory, "work")];
  });

const build = (world: Desk, ...more: string[]) =>
  runBoss([...world.args, ...more], world, world.history.directory);

const anyFile = ["-c", "protocol.file.allow=always"];

function commit(directory: string, files: Readonly<Record<string, string>>, message = "x"): string {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  git(directory, ["add", "--all"]);
  git(directory, ["commit", "--quiet", "--allow-empty", `--message=${message}`]);
  return git(directory, ["rev-parse", "HEAD"]).trim();
}

function repository(world: Desk, name: string, files: Readonly<Record<string, string>>): string {
  const directory = join(world.directory, name);
  git(world.directory, ["init", "--quiet", "--initial-branch=main", directory]);
  commit(directory, files);
  return directory;
}

/** Names a commit of a submodule in the source, whether or not there is one. */
function nameSubmodule(source: string, path: string, hash: string, modules: string): void {
  writeFileSync(join(source, ".gitmodules"), modules);
  git(source, ["add", ".gitmodules"]);
  git(source, ["update-index", "--add", "--cacheinfo", `160000,${hash},${path}`]);
  git(source, ["commit", "--quiet", "--message=names a submodule"]);
}

/** What the build of a commit has printed, the hash first. */
function printed(world: Desk, hash: string): string[] {
  const name = readdirSync(world.output).find((each) => each.includes(hash))!;
  return readFileSync(join(world.output, name, "t", "log"), "utf8")
    .trim()
    .split("\n");
}

test("builds find the files of submodules, nested ones too, as each commit names them, and their own commit's hash", async () => {
  await using world = await desk();
  const source = world.history.directory;
  const inner = repository(world, "inner", { "inner.txt": "deep" });
  const part = repository(world, "part", { "part.txt": "old" });
  git(part, [...anyFile, "submodule", "--quiet", "add", inner, "lib/inner"]);
  commit(part, {});
  git(source, [...anyFile, "submodule", "--quiet", "add", part, "third/part"]);
  git(source, [...anyFile, "submodule", "--quiet", "update", "--init", "--recursive"]);
  const first = commit(source, { "own.txt": "1" });
  const second = commit(source, { "own.txt": "2" });
  commit(join(source, "third/part"), { "part.txt": "new" });
  const third = commit(source, {});
  const { status, stderr } = await build(world, "--count", "3");
  assert.equal(status, 0, stderr);
  const nested = "./third/part/lib/inner/inner.txt:deep";
  assert.deepEqual(printed(world, first), [first, "./own.txt:1", nested, "./third/part/part.txt:old"]);
  assert.deepEqual(printed(world, second), [second, "./own.txt:2", nested, "./third/part/part.txt:old"]);
  assert.deepEqual(printed(world, third), [third, "./own.txt:2", nested, "./third/part/part.txt:new"]);
  const without = await build(world, "--count", "1", "--force", "--no-submodules");
  assert.equal(without.status, 0, without.stderr);
  assert.deepEqual(printed(world, third), [third, "./own.txt:2"]);
  assert.equal(git(source, ["for-each-ref", "--format=%(refname)"]).trim(), "refs/heads/main");
});

test("a submodule's address, name and settings have no part in where its files come from", async () => {
  await using world = await desk();
  const source = world.history.directory;
  const ran = join(world.directory, "ran");
  const monitor = join(world.directory, "monitor");
  writeFileSync(monitor, `#!/bin/sh\necho "$0 $*" >> ${ran}\ncat\n`);
  chmodSync(monitor, 0o755);
  const part = repository(world, "part", { "part.txt": "here" });
  git(source, [...anyFile, "submodule", "--quiet", "add", part, "part"]);
  const inside = join(source, "part");
  for (const [name, value] of [
    ["core.fsmonitor", monitor],
    ["filter.evil.clean", monitor],
    ["core.sshCommand", monitor],
  ])
    git(inside, ["config", name!, value!]);
  commit(inside, { ".gitattributes": "* filter=evil\n", "more.txt": "changed" });
  if (existsSync(ran)) writeFileSync(ran, "");
  const modules = `[submodule "../../x"]\npath = part\nurl = ext::${monitor}\nupdate = !${monitor}\n`;
  nameSubmodule(source, "part", git(inside, ["rev-parse", "HEAD"]).trim(), modules);
  writeFileSync(join(source, "own.txt"), "changed\n");
  const { status, stderr } = await build(world, "--uncommitted");
  assert.equal(status, 0, stderr);
  const log = readFileSync(join(world.output, "current/t/log"), "utf8");
  assert.match(log, /^\.\/own\.txt:changed\n[^]*\.\/part\/part\.txt:here$/m);
  assert.equal(existsSync(ran) ? readFileSync(ran, "utf8") : "", "");
});

test("a submodule that is not at the desk, or at no path of the source, is refused with the reason, and nothing is fetched", async () => {
  await using world = await desk();
  const source = world.history.directory;
  const ran = join(world.directory, "ran");
  const elsewhere = repository(world, "elsewhere", { "x.txt": "x" });
  const hash = git(elsewhere, ["rev-parse", "HEAD"]).trim();
  // What only lies there for a link that leads to it is not at the desk.
  mkdirSync(join(world.directory, "linked"));
  git(world.directory, ["clone", "--quiet", elsewhere, "linked/part"]);
  const cases: [path: string, modules: string, reason: RegExp][] = [
    ["part", `url = ext::sh -c "touch ${ran}"`, /commit [0-9a-f]{12} of its submodule 'part' is not here$/],
    ["part", `url = file://${elsewhere}`, /'part' is not here$/],
    ["part", `url = ../elsewhere`, /'part' is not here$/],
    ["../part", "url = x", /has a submodule at '\.\.\/part', which is no path in the source$/],
    ["a/.GIT/b", "url = x", /has a submodule at 'a\/\.GIT\/b', which is no path/],
    ["part]\n[broken", "url = x", /its \.gitmodules cannot be read$/],
  ];
  for (const [path, setting, reason] of cases) {
    nameSubmodule(source, "part", hash, `[submodule "part"]\npath = ${path}\n${setting}\n`);
    const { status, stderr } = await build(world, "--count", "1");
    assert.equal(status, 2, stderr);
    const complaint = stderr.split("\n").find((line) => line.startsWith("croft: Cannot build commit "));
    assert.match(complaint!, reason);
  }
  assert.equal(existsSync(ran), false);
});
