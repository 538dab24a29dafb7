import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { storing } from "../../../boss/results/storing.ts";
import { Matrix } from "../../../boss/matrix/matrix.ts";
import { findMatrix } from "../../../boss/results/found-matrix.ts";
import { parseSizes, portableSizes, sizeChanges } from "../../../boss/results/sizes.ts";
import { commitDirectory, ResultStore } from "../../../boss/results/store.ts";
import { CellMemory } from "../../../boss/results/cell-memory.ts";
import { summarize } from "../../../boss/results/summary.ts";
import { Failure } from "../../../os/failure.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

const commit = (digit: string, subject: string) => ({ hash: digit.repeat(40), subject });
const target = (name: string) => ({ name, arch: "sandbox" });
const built = { returnCode: 0, stderr: "", stdout: "CC main.o\n", host: "alpha" };

test("directories of commits are numbered, named by hash, and by 20 plain characters of the subject", () => {
  assert.equal(
    commitDirectory(commit("a", "arm: Fix a/b, again and again"), 4),
    `05_g${"a".repeat(40)}_arm--Fix-a-b,-again-`,
  );
  assert.equal(commitDirectory({ hash: null, subject: "" }, 0), "current");
});

test("a result has the files of buildman's layout, and its directory nothing of an earlier one", async () => {
  await using directory = await temporaryDirectory("croft-test-store-");
  const store = new ResultStore(directory.path, [commit("a", "One")]);
  const path = store.pathOf(target("t"), 0);
  const config = { ".config": "A=1\n", "../../escaped": "x", done: "0\n", "u-boot.cfg": "B\n" };
  store.write(target("t"), 0, { ...built, returnCode: 2, stderr: "error: no\n", config });
  assert.equal(store.returnCodeOf(target("t"), 0), undefined, "it is not on the disk yet");
  await store.settle();
  assert.deepEqual(readdirSync(path).sort(), [".config", "done", "err", "host", "log", "u-boot.cfg"]);
  assert.equal(readFileSync(join(path, "done"), "utf8"), "2\n");
  assert.ok(!existsSync(join(directory.path, "escaped")));
  store.write(target("t"), 0, { ...built, sizes: "1\t2\t3\t6\t6\tt\n" });
  await store.settle();
  assert.deepEqual(readdirSync(path).sort(), ["done", "host", "log", "sizes"]);
  assert.equal(store.returnCodeOf(target("t"), 0), 0);
  writeFileSync(join(path, "done"), "");
  assert.equal(store.returnCodeOf(target("t"), 0), undefined, "the boss was killed while writing");
});

test("results of a commit that has another number now are found and kept", async () => {
  await using directory = await temporaryDirectory("croft-test-store-");
  const [one, two, three] = [commit("1", "One"), commit("2", "Two"), commit("3", "Three")];
  const before = new ResultStore(directory.path, [one, two]);
  before.write(target("t"), 0, built);
  before.write(target("t"), 1, built);
  await before.settle();
  const after = new ResultStore(directory.path, [two, three]);
  assert.equal(after.returnCodeOf(target("t"), 0), 0);
  assert.equal(after.returnCodeOf(target("t"), 1), undefined);
  assert.ok(after.pathOf(target("t"), 0).includes("/01_g2"));
});

test("results of SHA-256 commits are found, and keep their place", async () => {
  await using directory = await temporaryDirectory("croft-test-store-");
  const commits = ["1", "2"].map((digit) => ({ hash: digit.repeat(64), subject: digit }));
  const before = new ResultStore(directory.path, commits);
  before.write(target("t"), 1, built);
  await before.settle();
  const after = new ResultStore(directory.path, commits.slice(1));
  assert.equal(after.returnCodeOf(target("t"), 0), 0);
  const found = await findMatrix(directory.path);
  assert.deepEqual(
    found.matrix.commits.map(({ hash }) => hash),
    [commits[1]!.hash],
  );
});

test("sizes are the same wherever an image was built, and changes are told", () => {
  const raw = (path: string, text: number) => `  ${text}\t   2488\t      0\t  74865\t  12471\t${path}`;
  const there = portableSizes(
    `${raw("/home/w1/.bm-work/00/build/u-boot", 72377)}\n${raw("/home/w1/.bm-work/00/build/spl/u-boot-spl", 10)}`,
  );
  const here = portableSizes(`${raw(".croft-out/u-boot", 72381)}\n${raw(".croft-out/spl/u-boot-spl", 10)}\n`);
  assert.deepEqual([...parseSizes(there).keys()], ["u-boot", "spl/u-boot-spl"]);
  assert.deepEqual(sizeChanges(parseSizes(there), parseSizes(here)), ["u-boot: text +4"]);
});

test("a size change is shown though another thread of another host built the next commit", async () => {
  await using directory = await temporaryDirectory("croft-test-store-");
  const commits = [commit("1", "One"), commit("2", "Two")];
  const store = new ResultStore(directory.path, commits);
  const matrix = new Matrix([target("t")], commits);
  const { result } = storing(store, matrix);
  for (const [at, host, path] of [
    [0, "alpha", "/home/a/work/.bm-work/00/build/u-boot"],
    [1, "beta", "/srv/b/work/.bm-work/07/build/u-boot"],
  ] as const) {
    const sizes = { raw: `  ${100 + at}\t   10\t      0\t  110\t  6e\t${path}` };
    const fields = {
      resp: "build_result",
      board: "t",
      commit_upto: at,
      return_code: 0,
      load_avg: 0,
    } as const;
    const builder = { name: host, destination: host, workDirectory: "~" };
    result!(builder, 0, at, { ...fields, stderr: "", stdout: "", sizes });
  }
  await store.settle();
  assert.deepEqual(summarize(store, matrix).commits[1]!.sizes, [
    { target: "t", changes: ["u-boot: text +1"] },
  ]);
});

test("the summary tells what each commit broke, mended and warns of, against the last result of the target", async () => {
  await using directory = await temporaryDirectory("croft-test-store-");
  const commits = ["1", "2", "3", "4"].map((digit) => commit(digit, digit));
  const store = new ResultStore(directory.path, commits);
  const matrix = new Matrix([target("t"), target("u")], commits);
  const failed = {
    ...built,
    returnCode: 2,
    stderr: "In function f:\nx.c:1: error: no such thing\nmake: *** [x] Error 1\n",
  };
  store.write(target("t"), 0, built);
  store.write(target("t"), 1, failed);
  store.write(target("t"), 3, { ...built, stderr: "x.c: In function f:\nx.c:2: warning: odd\n" });
  store.write(target("u"), 0, { ...built, returnCode: 10 });
  await store.settle();
  const { commits: summaries, totals } = summarize(store, matrix);
  assert.deepEqual(summaries[0]!.broken, [{ target: "u", message: "no toolchain for its architecture" }]);
  assert.deepEqual(summaries[1]!.broken, [{ target: "t", message: "x.c:1: error: no such thing" }]);
  assert.deepEqual(summaries[3]!.fixed, ["t"]);
  assert.deepEqual(summaries[3]!.newWarnings, [{ target: "t", message: "x.c:2: warning: odd" }]);
  assert.deepEqual(totals, { built: 1, warning: 1, failed: 2, missing: 4 });
});

test("a warning is new if the result before had none like it, wherever in its file it stands", async () => {
  await using directory = await temporaryDirectory("croft-test-store-");
  const commits = ["1", "2", "3", "4", "5"].map((digit) => commit(digit, digit));
  const store = new ResultStore(directory.path, commits);
  const old = "x.c:2:1: warning: old";
  const stderrs = [old, `x.c:7:1: warning: old`, `${old}\nx.c:9: warning: other`, "odd words", "odder words"];
  for (const [at, text] of stderrs.entries()) store.write(target("t"), at, { ...built, stderr: `${text}\n` });
  await store.settle();
  const { commits: summaries } = summarize(store, new Matrix([target("t")], commits));
  assert.deepEqual(
    summaries.map(({ newWarnings }) => newWarnings.map(({ message }) => message)),
    [[old], [], ["x.c:9: warning: other"], [], []],
  );
});

test("results count about a second after they were written, without anybody asking", async () => {
  await using directory = await temporaryDirectory("croft-test-store-");
  const store = new ResultStore(directory.path, [commit("a", "One")]);
  store.write(target("t"), 0, built);
  const deadline = performance.now() + 30_000;
  while (store.returnCodeOf(target("t"), 0) === undefined) {
    assert.ok(performance.now() < deadline);
    await pause(20);
  }
  await store.forget([[target("t"), 0]]);
  assert.equal(store.returnCodeOf(target("t"), 0), undefined);
});

test("a result that cannot be completed is told by whoever waits for it, and by the next one", async () => {
  await using directory = await temporaryDirectory("croft-test-store-");
  const store = new ResultStore(directory.path, [commit("a", "One")]);
  store.write(target("t"), 0, built);
  rmSync(store.pathOf(target("t"), 0), { recursive: true });
  await assert.rejects(store.settle(), Failure);
  assert.throws(() => store.write(target("u"), 0, built), Failure);
});

test("a summary of what was remembered of a run is that of its files, and needs none of them", async () => {
  await using directory = await temporaryDirectory("croft-test-store-");
  const commits = ["a", "b", "c", "d"].map((digit) => commit(digit, digit));
  const targets = ["t", "u"].map(target);
  const matrix = new Matrix(targets, commits);
  const store = new ResultStore(directory.path, commits);
  const memory = new CellMemory();
  const { result } = storing(store, matrix, { memory });
  const warning = "main.c:3:1: warning: unused variable 'x'\n";
  const outcomes = [
    { return_code: 0, stderr: "", sizes: { raw: "  10\t2\t0\t12\tc\tout/u-boot" } },
    { return_code: 0, stderr: warning, sizes: { raw: "  30\t2\t0\t32\t20\tout/u-boot" } },
    { return_code: 2, stderr: `${warning}main.c:4:2: error: no\nmake: *** Error 1\n` },
    { return_code: 10, stderr: "" },
  ];
  const host = { name: "alpha", destination: "alpha", workDirectory: "w" };
  const message = { resp: "build_result" as const, board: "t", stdout: "CC\n", load_avg: 0 };
  for (const [at, outcome] of outcomes.entries()) {
    result!(host, 0, at, { ...message, ...outcome, commit_upto: at });
    result!(host, 1, 3 - at, { ...message, ...outcome, commit_upto: 3 - at });
  }
  await store.settle();
  const remembered = summarize(store, matrix, { memory });
  assert.deepEqual(remembered, summarize(new ResultStore(directory.path, commits), matrix));
  assert.equal(remembered.totals.failed, 4);
  rmSync(directory.path, { recursive: true });
  assert.deepEqual(summarize(store, matrix, { memory }), remembered);
});

test("whether results are there is asked once of each commit's directory, however many targets there are", async () => {
  await using directory = await temporaryDirectory("croft-test-store-");
  const commits = [commit("a", "a")];
  const before = new ResultStore(directory.path, commits);
  before.write(target("t"), 0, built);
  await before.settle();
  const store = new ResultStore(directory.path, commits);
  assert.equal(store.returnCodeOf(target("t"), 0), 0);
  before.write(target("other"), 0, built);
  await before.settle();
  assert.equal(store.returnCodeOf(target("other"), 0), undefined, "no further look");
  store.write(target("other"), 0, built);
  await store.settle();
  assert.equal(store.returnCodeOf(target("other"), 0), 0);
});

test("details of a result are compared with the last one that has them, and a likely flake is told apart", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const commits = [0, 1, 2, 3].map((at) => ({ hash: String(at).repeat(40), subject: `c${at}` }));
  const store = new ResultStore(directory.path, commits);
  const matrix = new Matrix([target("t")], commits);
  const write = (commit: number, result: object) =>
    store.write(target("t"), commit, { ...{ returnCode: 0, stderr: "", stdout: "", host: "h" }, ...result });
  const config = (value: string) => ({
    config: {
      "u-boot.cfg": `#define CONFIG_X ${value}\n`,
      ".config": `${value}=1\n`,
      "uboot.env": `a=${value}\0`,
    },
  });
  write(0, config("1"));
  write(1, { returnCode: 2, stderr: "cc: internal compiler error: Segmentation fault\n", ...config("7") });
  write(2, config("2"));
  write(3, {});
  await store.settle();
  const { commits: told, flakes } = summarize(store, matrix, { details: ["config"] });
  assert.deepEqual(told[2]!.details, {
    config: [{ target: "t", changes: ["u-boot.cfg: CONFIG_X: 1 -> 2"] }],
  });
  assert.deepEqual([told[0]!.details, told[1]!.details, told[3]!.details], [{}, {}, {}]);
  const [flake] = flakes;
  assert.deepEqual([flake?.target, flake?.from, flake?.to, flakes.length], ["t", 1, 2, 1]);
  assert.deepEqual([told[1]!.broken, told[2]!.fixed], [[], []]);
  const both = summarize(store, matrix, { details: ["environment", "functions"] });
  assert.deepEqual(both.commits[2]!.details, { environment: [{ target: "t", changes: ["a: 1 -> 2"] }] });
});
