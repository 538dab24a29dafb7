import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseHosts } from "../../../boss/hosts/hosts.ts";
import { buildOptions } from "../../../boss/options.ts";
import { makePlan, readProject } from "../../../boss/planning/plan.ts";
import { architectureNotes, chooseTargets } from "../../../boss/planning/targets.ts";
import { withDefaults, type OptionValues } from "../../../os/command-line/options.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { git, makeSourceHistory } from "../../fixtures/source-history.ts";

const values = (given: OptionValues) => withDefaults(given, buildOptions);

test("hosts are named with destination and number of builds; what cannot be one is refused in one line", () => {
  assert.deepEqual(parseHosts("a,b=user@b.example:max-builds=8", "~/w"), [
    { name: "a", destination: "a", workDirectory: "~/w" },
    { name: "b", destination: "user@b.example", workDirectory: "~/w", maxBuilds: 8 },
  ]);
  for (const [text, reason] of [
    ["a,,b", "expected letters"],
    ["-oProxyCommand=x", "expected letters"],
    ["a=-oProxyCommand=x", "must not start with '-'"],
    ["a:max-builds=0", "max-builds=N"],
    ["a:slots=3", "max-builds=N"],
  ])
    assert.throws(() => parseHosts(text!, "~"), new RegExp(`^UsageFailure: Cannot use host .*${reason}`));
});

test("--max-builds is for all hosts but those that --hosts gives a number of their own", async () => {
  await using directory = await temporaryDirectory("croft-test-plan-");
  const limits = async (given: OptionValues) =>
    (await readProject(values({ source: directory.path, ...given }))).hosts.map(({ maxBuilds }) => maxBuilds);
  assert.deepEqual(await limits({ hosts: "a:max-builds=8,b", "max-builds": 2 }), [8, 2]);
  writeFileSync(join(directory.path, "croft.yaml"), "output: there\nhosts:\n  a: {max-builds: 4}\n");
  assert.deepEqual([await limits({}), await limits({ "max-builds": 2 })], [[4], [2]]);
  const { output } = await readProject(values({ source: directory.path }));
  assert.equal(output, join(directory.path, "there"), "relative to the source, wherever it is called");
});

test("targets are those of the command line, else those of the configuration", () => {
  const file = { targets: { sandbox: null, "arm64:defconfig": { arch: "aarch64" } } };
  assert.deepEqual(chooseTargets([], file), [
    { name: "sandbox", arch: "sandbox" },
    { name: "arm64:defconfig", arch: "aarch64" },
  ]);
  assert.deepEqual(chooseTargets(["arm64:defconfig", "x:riscv"], file), [
    { name: "arm64:defconfig", arch: "aarch64" },
    { name: "x", arch: "riscv" },
  ]);
  for (const names of [["../x"], ["x:"], ["x:arm", "x:riscv"], [".hidden"]])
    assert.throws(() => chooseTargets(names, file), /^UsageFailure: Cannot build target/);
  assert.throws(() => chooseTargets([], {}), /there are no targets/);
});

test("of targets without an architecture it is said that the host's own compiler builds them", async () => {
  const file = { targets: { sandbox64: null, board: null, arm: { arch: "aarch64" } } };
  const said = /^The architecture of 'board' is not known: built with the host's own compiler/;
  assert.match(architectureNotes([], file).join(), said);
  assert.match(architectureNotes(["arm", "board", "x:riscv", "y:sandbox"], file).join(), said);
  assert.deepEqual(architectureNotes(["arm", "sandbox", "x:sandbox"], file), []);
  const many = Array.from({ length: 12 }, (_, at) => `b${at}`);
  assert.match(architectureNotes(many, {}).join(), /'b9', 2 more is not known/);
  await using directory = await temporaryDirectory("croft-test-plan-");
  const source = join(directory.path, "project");
  makeSourceHistory(source, { t: {} }, [{}]);
  assert.match((await makePlan(values({ source }), ["board"])).notes.join(), said);
});

test("the configuration is checked: file, line and key of a mistake are named", async () => {
  await using directory = await temporaryDirectory("croft-test-plan-");
  const file = join(directory.path, "croft.yaml");
  for (const [text, message] of [
    ["hosts:\n  a: {max-builds: many}\n", /croft.yaml:2:\d+: hosts.a/],
    ["recipe:\n  configure: x\n", /croft.yaml:1:1: recipe/],
    ["target:\n  x:\n", /croft.yaml:1:1: target: unknown key/],
    ["hosts:\n  local: {}\n", /use host 'local': that is the name of this machine/],
    ["hosts:\n  a: {ssh: -oProxyCommand=x}\n", /must not start with '-'/],
    ["hosts:\n  a: {ssh: 'b@::1'}\n", /a port or an IPv6 address belongs into ssh's configuration/],
  ] as const) {
    writeFileSync(file, text);
    await assert.rejects(readProject(values({ source: directory.path })), message);
  }
});

test("a plan pushes the last commit, and one more only for a tip that it does not reach", async () => {
  await using directory = await temporaryDirectory("croft-test-plan-");
  const source = join(directory.path, "project");
  const { commits } = makeSourceHistory(source, { t: {} }, [{}, {}, {}]);
  const linear = await makePlan(values({ source, count: 2 }), ["t"]);
  assert.deepEqual(
    linear.commits.map(({ hash }) => hash),
    commits.slice(1),
  );
  assert.deepEqual(linear.tips, [commits[2]]);
  git(source, ["checkout", "--quiet", "-b", "side", commits[0]!]);
  git(source, ["commit", "--quiet", "--allow-empty", "--message=Side"]);
  const side = git(source, ["rev-parse", "HEAD"]).trim();
  const { tips } = await makePlan(values({ source, branch: "side", count: 2 }), ["t"]);
  assert.deepEqual(tips, [side]);
  writeFileSync(join(source, "new-file"), "uncommitted\n");
  mkdirSync(join(source, "new"));
  const current = await makePlan(values({ source, uncommitted: true }), ["t"]);
  assert.deepEqual(current.commits, [{ hash: null, subject: "current source" }]);
  assert.match(
    git(source, ["show", "--name-only", "--format=%s", current.tips[0]!]),
    /uncommitted changes\n\nnew-file/,
  );
  assert.equal(git(source, ["status", "--porcelain", "new-file"]), "?? new-file\n", "the index is untouched");
});

test("commits that are not there are refused in one line", async () => {
  await using directory = await temporaryDirectory("croft-test-plan-");
  const source = join(directory.path, "project");
  makeSourceHistory(source, { t: {} }, [{}]);
  for (const given of [{ commits: "nowhere..main" }, { branch: "nowhere" }, { commits: "main..main" }])
    await assert.rejects(
      makePlan(values({ source, ...given }), ["t"]),
      /^UsageFailure: Cannot find commits '.*': .+/,
    );
  await assert.rejects(
    makePlan(values({ source, commits: "a..b", branch: "c" }), ["t"]),
    /--commits and --branch exclude each other/,
  );
});

test("files that are in Git LFS are named: builds find pointers there", async () => {
  await using directory = await temporaryDirectory("croft-test-plan-");
  const source = join(directory.path, "project");
  makeSourceHistory(source, { t: {} }, [{}]);
  const notes = async () => (await makePlan(values({ source }), ["t:sandbox"])).notes;
  const add = (path: string, text: string) => {
    const hash = git(source, ["hash-object", "-w", "--no-filters", "--stdin"], text).trim();
    git(source, ["update-index", "--add", "--cacheinfo", `100644,${hash},${path}`]);
    git(source, ["commit", "--quiet", `--message=${path}`]);
  };
  add("art/a b.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
  assert.deepEqual(await notes(), []);
  add("art/.gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
  assert.deepEqual(await notes(), ["Files in Git LFS are only pointers in the builds: 'art/a b.bin'."]);
});

test("changes of the configuration are refused where nobody would make them", async () => {
  await using directory = await temporaryDirectory("croft-test-plan-");
  const source = join(directory.path, "project");
  makeSourceHistory(source, { t: {} }, [{}]);
  const given = (more: OptionValues) => makePlan(values({ source, "adjust-cfg": ["A"], ...more }), ["t"]);
  assert.deepEqual((await given({ mrproper: true })).settings, { mrproper: true, adjust_cfg: ["A"] });
  await assert.rejects(
    given({ "worker-command": "x" }),
    /^UsageFailure: Cannot build with --adjust-cfg: another worker/,
  );
  await assert.rejects(given({ recipe: "make" }), /only the recipes u-boot and linux know it/);
});
