import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { temporaryDirectory, type TemporaryDirectory } from "../../../os/files/temporary.ts";
import type { BuildResult, Settings, Target } from "../../../worker/protocol.ts";
import { git, makeSourceHistory, type SourceHistory } from "../../fixtures/source-history.ts";
import { WorkerProcess } from "./worker-process.ts";
import { patienceMs } from "../../fixtures/patience.ts";

/** Targets are built in parallel; their results are looked at target by target. */
function of(results: readonly BuildResult[], board: string): BuildResult[] {
  return results.filter((result) => result.board === board);
}

describe("builds of targets at commits", () => {
  let place: TemporaryDirectory;
  let history: SourceHistory;
  let missing: string;

  before(async () => {
    place = await temporaryDirectory("croft-test-");
    history = makeSourceHistory(join(place.path, "source"), { a: {}, b: {} }, [
      {},
      { warns: ["a"] },
      { warns: ["a"], breaks: ["b"] },
      { reconfigures: ["b"] },
    ]);
    missing = "0123456789012345678901234567890123456789";
  });
  after(() => place[Symbol.asyncDispose]());

  /** A session of one round. */
  async function build(
    targets: readonly Target[],
    options: { settings?: Settings; commits?: readonly string[]; exceptions?: number; threads?: number } = {},
  ): Promise<BuildResult[]> {
    await using worker = new WorkerProcess({ workDir: history.directory, threads: options.threads ?? 2 });
    await worker.expect("ready");
    worker.send({ cmd: "configure", settings: options.settings ?? {}, toolchains: {} });
    worker.send({ cmd: "build_prepare", commits: options.commits ?? history.commits });
    for (const target of targets) worker.send({ cmd: "build_board", ...target });
    worker.send({ cmd: "build_done" });
    return await worker.results(options.exceptions ?? 0);
  }

  it("give the results of each target in the order of the commits", async () => {
    const results = await build([{ board: "a", arch: "sandbox" }, { board: "b" }]);
    const codes = (board: string) =>
      of(results, board).map((result) => [result.commit_upto, result.return_code]);
    assert.deepEqual(codes("a"), [[0, 0], [1, 0], [2, 0], [3, 0]]); // prettier-ignore
    assert.deepEqual(codes("b"), [[0, 0], [1, 0], [2, 2], [3, 0]]); // prettier-ignore
    assert.deepEqual(
      of(results, "a").map(({ sizes }) => Number(/\d+/.exec(sizes!.raw)![0])),
      [
        ...[208, 209, 210, 211].map(
          (size) => size + Number(/\d+/.exec(of(results, "a")[0]!.sizes!.raw)![0]) - 208,
        ),
      ],
    );
  });

  it("repeat the warnings of files that have not changed", async () => {
    const results = await build([{ board: "a" }]);
    const warned = results.map(({ stderr }) => stderr.includes("unused variable"));
    assert.deepEqual(warned, [false, true, true, false]);
  });

  it("name files by their place in the source, whatever the thread", async () => {
    const [result] = await build([{ board: "b", commits: [2] }]);
    assert.match(result!.stderr, /^\.\.\/board\/b\.c: In function/);
    assert.match(result!.stderr, /\[build\.mk:\d+: board\/b\.o\]/);
    assert.ok(!result!.stderr.includes(place.path), result!.stderr);
  });

  it("bring the configuration with failures only, and never another target's", async () => {
    const results = await build([{ board: "b" }, { board: "nosuch" }], { threads: 1 });
    const [, , failed] = of(results, "b");
    assert.deepEqual(Object.keys(failed!.config!), [
      ...["u-boot.cfg", ".config", "autoconf.mk", "autoconf.h"],
    ]);
    assert.match(failed!.config![".config"]!, /CONFIG_TARGET=b/);
    assert.ok(results.every(({ return_code, config }) => return_code !== 0 || config === undefined));
    assert.deepEqual(
      of(results, "nosuch").map(({ return_code, config, sizes }) => [return_code, config, sizes]),
      history.commits.map(() => [2, undefined, undefined]),
    );
  });

  it("bring the details that are asked for with what is built, too", async () => {
    const details = ["config", "environment", "functions"] as const;
    const [result] = await build([{ board: "a", commits: [0] }], { settings: { details } });
    const files = result!.config!;
    assert.deepEqual(Object.keys(files), [
      ...["u-boot.cfg", ".config", "autoconf.mk", "autoconf.h", "u-boot.sizes", "u-boot.objdump"],
    ]);
    assert.match(files["u-boot.sizes"]!, /^[0-9a-f]{16} T board_init$/m);
    assert.match(files["u-boot.objdump"]!, /^ +\d+ \.text +[0-9a-f]{8} /m);
    const [lean] = await build([{ board: "a", commits: [0] }], { settings: { details: ["config"] } });
    assert.deepEqual(Object.keys(lean!.config!), ["u-boot.cfg", ".config", "autoconf.mk", "autoconf.h"]);
  });

  it("send the files that are to be kept before the result, which has their digests", async () => {
    await using worker = new WorkerProcess({ workDir: history.directory, threads: 1 });
    await worker.expect("ready");
    const settings = { keep_outputs: true, keep: ["board/*.o", ".config"] };
    worker.send({ cmd: "configure", settings, toolchains: {} });
    worker.send({ cmd: "build_prepare", commits: history.commits });
    worker.send({ cmd: "build_board", board: "b", commits: [0, 2] });
    worker.send({ cmd: "build_done" });
    const all = await worker.until("build_done");
    const [built, failed] = all.filter((each) => each.resp === "build_result");
    const pieces = all.filter((each) => each.resp === "build_output");
    assert.deepEqual(built!.outputs!.map(({ name }) => name).sort(), [
      ...[".config", "b.o", "u-boot", "u-boot.cfg"],
    ]);
    for (const { name, size, sha256 } of built!.outputs!) {
      const whole = pieces
        .filter((each) => each.name === name)
        .map(({ data }) => Buffer.from(data, "base64"));
      assert.equal(Buffer.concat(whole).length, size);
      assert.equal(createHash("sha256").update(Buffer.concat(whole)).digest("hex"), sha256);
    }
    assert.equal(failed!.outputs, undefined);
    assert.ok(pieces.every(({ commit_upto }) => commit_upto === 0));
    assert.ok(all.indexOf(pieces.at(-1)!) < all.indexOf(built!));
  });

  it("are of the commits that a target names, where it names some", async () => {
    const results = await build([{ board: "a", commits: [3, 0, 3] }]);
    assert.deepEqual(results.map((result) => result.commit_upto), [0, 3]); // prettier-ignore
  });

  it("go on after a commit that is not there, which counts as an exception", async () => {
    const commits = [history.commits[0]!, missing, history.commits[1]!];
    const results = await build([{ board: "a" }], { commits, exceptions: 1 });
    assert.deepEqual(results.map((result) => result.commit_upto), [0, 2]); // prettier-ignore
  });

  it("say that there is no toolchain", async () => {
    const results = await build([
      { board: "a", arch: "m68k", commits: [0] },
      { board: "b", commits: [0] },
    ]);
    assert.deepEqual(of(results, "a").map((result) => result.return_code), [10]); // prettier-ignore
    assert.match(of(results, "a")[0]!.stderr, /^Cannot build for 'm68k': .* no toolchain/);
    assert.deepEqual(of(results, "b").map((result) => result.return_code), [0]); // prettier-ignore
  });

  it("take over the worktrees of an earlier worker, in whatever state they are", async () => {
    const own = join(history.directory, ".croft-worker");
    await build([{ board: "a", commits: [0] }]);
    writeFileSync(join(history.directory, ".git/worktrees/00/index.lock"), ""); // killed in git
    writeFileSync(join(history.directory, ".git/worktrees/00/index"), "no index"); // the host lost its power
    rmSync(join(own, "01/.git")); // a build has removed it
    writeFileSync(join(own, "00/board/b.c"), "changed");
    const results = await build([{ board: "a", commits: [1] }, { board: "b", commits: [1] }]); // prettier-ignore
    assert.deepEqual(results.map((result) => result.return_code), [0, 0]); // prettier-ignore
    rmSync(own, { recursive: true });
    assert.equal((await build([{ board: "b", commits: [1] }]))[0]!.return_code, 0);
    assert.equal(git(history.directory, ["status", "--porcelain"]), "");
  });

  it("of the current source have its uncommitted changes, and leave it as it is", async () => {
    const source = join(place.path, "changed");
    const { commits } = makeSourceHistory(source, { a: {} }, [{}]);
    writeFileSync(join(source, "board/a.c"), "#warning changed here\n");
    writeFileSync(join(source, "configs/new_defconfig"), "CONFIG_TARGET=new\nCONFIG_SECONDS=0\n");
    writeFileSync(join(source, "board/new.c"), "#warning new here\n");
    const before = git(source, ["status", "--porcelain"]);
    await using worker = new WorkerProcess({ workDir: source });
    await worker.expect("ready");
    worker.send({ cmd: "build_prepare", commits: [null] });
    await worker.expect("build_prepare_done");
    for (const board of ["a", "new"]) worker.send({ cmd: "build_board", board });
    worker.send({ cmd: "build_done" });
    const results = await worker.results();
    assert.match(of(results, "a")[0]!.stderr, /changed here/);
    assert.match(of(results, "new")[0]!.stderr, /new here/);
    assert.equal(git(source, ["status", "--porcelain"]), before);
    assert.equal(git(source, ["rev-parse", "HEAD"]).trim(), commits[0]);
  });

  it("in a batch are answered from the start to the end", async () => {
    await using worker = new WorkerProcess({ workDir: history.directory });
    await worker.expect("ready");
    const boards = [{ board: "a", arch: "sandbox", vendor: "Acme" }, { board: "b" }];
    worker.send({ cmd: "build_boards", boards, commits: history.commits.slice(0, 2) });
    const all = await worker.until("build_done");
    assert.deepEqual(
      all.slice(0, 3).map(({ resp }) => resp),
      ["build_started", "worktree_created", "worktree_created"],
    );
    assert.equal(all.filter(({ resp }) => resp === "build_result").length, 4);
    assert.ok(!all.some(({ resp }) => resp === "build_prepare_done"));
  });

  it("go on in further rounds of a session, with other settings", async () => {
    await using worker = new WorkerProcess({ workDir: history.directory });
    await worker.expect("ready");
    const commits = history.commits.slice(1, 2);
    for (const [settings, code] of [
      [{}, 0],
      [{ warnings_as_errors: true }, 2],
      [{}, 0],
    ] as const) {
      worker.send({ cmd: "configure", settings, toolchains: {} });
      worker.send({ cmd: "build_prepare", commits, max_boards: 1 });
      worker.send({ cmd: "build_board", board: "a" });
      const before = await worker.until("build_prepare_done");
      assert.deepEqual(before[1], { resp: "build_started", num_threads: 1 });
      worker.send({ cmd: "build_done" });
      assert.deepEqual((await worker.results()).map((result) => result.return_code), [code]); // prettier-ignore
    }
    worker.send({ cmd: "build_board", board: "a" });
    assert.equal((await worker.expect("error")).msg, "no builder (send build_prepare first)");
  });

  it("refuse what does not fit, and are not disturbed", async () => {
    await using worker = new WorkerProcess({ workDir: history.directory });
    await worker.expect("ready");
    worker.send({ cmd: "configure", settings: { recipe: "cmake" }, toolchains: {} });
    assert.match(
      (await worker.expect("error")).msg,
      /^Cannot use recipe 'cmake': there are u-boot, linux, make/,
    );
    worker.send({ cmd: "build_prepare", commits: history.commits });
    await worker.until("build_prepare_done");
    worker.send({ cmd: "build_board", board: "a" });
    await worker.expect("heartbeat");
    worker.send({ cmd: "build_board", board: "a", commits: [4] });
    worker.send({ cmd: "build_prepare", commits: history.commits });
    worker.send({ cmd: "setup" });
    worker.send({ cmd: "build_done" });
    const all = await worker.until("build_done");
    const errors = all.filter((response) => response.resp === "error").map(({ msg }) => msg);
    assert.match(errors[0]!, /^Cannot build 'a' at commit 4: no such commit was prepared/);
    assert.deepEqual(errors.slice(1), Array(2).fill("builds are running (send build_done first)"));
    assert.equal(all.filter(({ resp }) => resp === "build_result").length, 4);
  });

  it("cannot be prepared without a repository, even inside another one", async () => {
    const inner = join(history.directory, "board/inner");
    mkdirSync(inner);
    await using worker = new WorkerProcess({ workDir: inner });
    await worker.expect("ready");
    worker.send({ cmd: "build_prepare", commits: history.commits });
    await worker.expect("build_started");
    assert.match((await worker.expect("error")).msg, /not a git repository/);
    worker.send({ cmd: "setup", work_dir: inner });
    assert.equal((await worker.expect("setup_done")).git_dir, join(inner, ".git"));
    git(history.directory, ["push", "--quiet", inner, "main:refs/heads/work"]);
    worker.send({ cmd: "build_prepare", commits: history.commits.slice(0, 1) });
    await worker.until("build_prepare_done");
    assert.equal(
      readFileSync(join(inner, ".git/info/exclude"), "utf8").split("\n").includes("/.croft-worker/"),
      true,
    );
    rmSync(inner, { recursive: true });
  });

  it("in a temporary directory leave nothing", async () => {
    await using worker = new WorkerProcess({ env: { ...process.env, TMPDIR: place.path } });
    await worker.expect("ready");
    worker.send({ cmd: "setup" });
    const { work_dir } = await worker.expect("setup_done");
    assert.ok(existsSync(join(work_dir, ".git")));
    worker.child.kill("SIGKILL");
    await worker.exited;
    const deadline = Date.now() + patienceMs;
    while (existsSync(work_dir) && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(!existsSync(work_dir));
  });
});
