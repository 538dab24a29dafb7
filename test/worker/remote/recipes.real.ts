import assert from "node:assert/strict";
import { appendFileSync, existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, before, describe, it } from "node:test";
import { LineSplitter } from "../../../os/text/lines.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../os/files/temporary.ts";
import { formatCommand, parseResponse, type BuildResult, type Settings } from "../../../worker/protocol.ts";
import { Conversation } from "../../../worker/remote/conversation.ts";
import { recipeOf } from "../../../worker/remote/recipes.ts";
import { git, makeSourceHistory, type SourceHistory } from "../../fixtures/source-history.ts";
import { WorkerProcess } from "./worker-process.ts";

describe("how a target is built", () => {
  let place: TemporaryDirectory;
  let history: SourceHistory;

  before(async () => {
    place = await temporaryDirectory("croft-test-");
    history = makeSourceHistory(join(place.path, "source"), { a: {}, b: {} }, [
      {},
      {},
      { reconfigures: ["a"] },
      { breaks: ["a"] },
      {},
    ]);
  });
  after(() => place[Symbol.asyncDispose]());

  /** Results of boards with settings; each board is built at all commits. */
  async function build(settings: Settings, boards = ["a"], commits = history.commits, threads = 2) {
    await using worker = new WorkerProcess({ workDir: history.directory, threads });
    await worker.expect("ready");
    worker.send({ cmd: "configure", settings, toolchains: {} });
    worker.send({ cmd: "build_prepare", commits });
    await worker.until("build_prepare_done");
    for (const board of boards) worker.send({ cmd: "build_board", board });
    worker.send({ cmd: "build_done" });
    return await worker.results();
  }

  /** A recipe that tells in a file what it runs, and builds as the default one does. */
  function traced(reconfigure?: string[]) {
    const trace = join(place.path, "trace");
    rmSync(trace, { force: true });
    const recipe = {
      configure: `echo configure >> ${trace}; make -s O={out} {target}_defconfig`,
      build: `make O={out} V=1 -j1 > log; status=$?; grep -o 'cmd/version.c\\|common/main.c' log >> ${trace}; exit $status`,
      ...(reconfigure && { reconfigure }),
    };
    return { recipe, steps: () => readFileSync(trace, "utf8").trim().split("\n").join(" ") };
  }
  const [config, version, main] = ["configure", "cmd/version.c", "common/main.c"];

  it("incrementally: what has not changed is not compiled again", async () => {
    const { recipe, steps } = traced();
    const results = await build({ recipe }, ["a"], history.commits.slice(0, 2));
    assert.deepEqual(results.map((result) => result.return_code), [0, 0]); // prettier-ignore
    // This recipe copies the configuration each time, so make compiles all: it is the project's way.
    assert.equal(steps(), `${config} ${version} ${main} ${config} ${version} ${main}`);
    const quick = traced(["configs"]);
    await build({ recipe: quick.recipe }, ["a"], history.commits.slice(0, 3));
    const first = `${config} ${version} ${main}`;
    assert.equal(quick.steps(), `${first} ${version} ${first}`); // the third has another configuration
  });

  it("anew after a failure, which is believed only if the build was configured", async () => {
    const { recipe, steps } = traced(["configs"]);
    const results = await build({ recipe }, ["a"], history.commits.slice(2, 5));
    assert.deepEqual(results.map((result) => result.return_code), [0, 2, 0]); // prettier-ignore
    assert.equal(steps().split(config).length - 1, 3);
  });

  it("cleanly at each commit, if so set", async () => {
    const { recipe, steps } = traced(["configs"]);
    await build({ recipe, mrproper: true }, ["a"], history.commits.slice(0, 2));
    assert.equal(steps(), `${config} ${version} ${main} ${config} ${version} ${main}`);
  });

  it("once more from the start, if an incremental build fails and it is so set", async () => {
    // Fails wherever something of an earlier build is left.
    const recipe = { build: "test ! -e left; status=$?; : > left; exit $status" };
    const commits = history.commits.slice(0, 2);
    const codes = async (settings: Settings) =>
      (await build({ recipe, ...settings }, ["a"], commits)).map((result) => result.return_code);
    assert.deepEqual(await codes({}), [0, 2]);
    assert.deepEqual(await codes({ fallback_mrproper: true }), [0, 0]);
  });

  it("up to the configuration only, if so set", async () => {
    const { recipe, steps } = traced();
    const [result] = await build({ recipe, config_only: true }, ["a"], history.commits.slice(3, 4));
    assert.match(
      recipeOf({ config_only: true }).configure!,
      /\{target\}_defconfig && make -s O=\{out\} cfg$/,
    );
    assert.equal(result!.return_code, 0);
    assert.equal(result!.sizes, undefined);
    assert.equal(steps(), config);
  });

  it("up to the configuration at each commit, which is then the result", async () => {
    const configure = "mkdir -p {out} && cat cmd/version.c > {out}/.config";
    const recipe = { configure, build: "false", config: [".config"], reconfigure: ["configs/**"] };
    const commits = history.commits.slice(0, 2);
    const results = await build({ recipe, config_only: true }, ["a"], commits);
    assert.deepEqual(
      results.map((result) => /step \d/.exec(result.config![".config"]!)![0]),
      ["step 0", "step 1"],
    );
  });

  it("with the settings in the environment, and nothing of who started the worker", async () => {
    const recipe = { build: 'echo "$KCFLAGS|$SOURCE_DATE_EPOCH|$NO_LTO|$BINMAN_ALLOW_MISSING|$V|$LC_ALL"' };
    const settings = {
      warnings_as_errors: true,
      reproducible_builds: true,
      no_lto: true,
      verbose_build: true,
    };
    const [result] = await build({ recipe, ...settings }, ["a"], history.commits.slice(0, 1));
    assert.match(result!.stdout, /^-Werror\|0\|1\|\|1\|C(?:\.UTF-8)?\n$/);
  });

  it("with placeholders filled in, and braces of the shell left alone", async () => {
    const recipe = { build: "v=x; echo {target} {config} {arch} {out} {source} {nothing} ${v} {jobs}" };
    const [result] = await build({ recipe, jobs: 7 }, ["arm64:it's"], history.commits.slice(0, 1));
    const own = ["arm64:it's", "it's", "", ".croft-out"].filter(Boolean).join(" ");
    assert.equal(result!.stdout, `${own} . {nothing} x 7\n`);
  });

  it("in the source tree, as projects without O= want it", async () => {
    const source = join(place.path, "in-tree");
    makeSourceHistory(source, { a: {} }, [{}]);
    appendFileSync(join(source, "Makefile"), "hello: common/main.c\n\t$(CC) -c -o $@ $<\n");
    git(source, ["commit", "--quiet", "--all", "-m", "in the tree"]);
    appendFileSync(join(source, "common/main.c"), "#error here\n");
    git(source, ["commit", "--quiet", "--all", "-m", "broken"]);
    await using worker = new WorkerProcess({ workDir: source });
    await worker.expect("ready");
    worker.send({ cmd: "configure", settings: { recipe: "make" }, toolchains: {} });
    await worker.expect("configure_done");
    worker.send({ cmd: "build_boards", boards: [{ board: "hello" }], commits: ["HEAD~", "HEAD"] });
    const results = await worker.results();
    assert.deepEqual(results.map((result) => result.return_code), [0, 2]); // prettier-ignore
    assert.ok(existsSync(join(source, ".croft-worker/00/hello")));
  });

  it("with output of any length and any bytes: 50 MB are told in 1 MiB", async () => {
    const recipe = {
      build:
        "echo first; yes 0123456789012345678901234567890123456789012345678 | head -c 50000000; echo last;" +
        "printf 'a\\377b\\n' >&2",
    };
    const [result] = await build({ recipe }, ["a"], history.commits.slice(0, 1));
    const { stdout, stderr } = result!;
    assert.ok(Buffer.byteLength(stdout) <= 1024 * 1024 + 200, String(stdout.length));
    assert.match(stdout, /^first\n0123/);
    assert.match(stdout, /78\nlast\n$/);
    const missing = Number(
      /\n\[\.\.\. (\d+) bytes left out: more than 1048576 are not kept \.\.\.\]\n/.exec(stdout)![1],
    );
    const kept = stdout.replace(/\[\.\.\. .*\n/, "").length;
    assert.equal(kept + missing, 50_000_000 + "first\nlast\n".length);
    assert.equal(stderr, "a\ufffdb\n");
  });

  it("with a failure of make that the recipe tolerates counted as a warning", async () => {
    const failing = "echo 'Some images are invalid' >&2; exit 2";
    for (const [tolerates, code] of [
      [recipeOf({}).tolerates!, 0],
      ["something else", 2],
    ] as const) {
      const [result] = await build(
        { recipe: { build: failing, tolerates } },
        ["a"],
        history.commits.slice(0, 1),
      );
      assert.deepEqual([result!.return_code, result!.stderr], [code, "Some images are invalid\n"]);
    }
  });

  it("no longer than is allowed, with all that it has started", async () => {
    const recipe = { build: "sleep 1000 & sleep 1000" };
    const [result] = await build({ recipe, build_timeout: 1 }, ["a"], history.commits.slice(0, 1));
    assert.equal(result!.return_code, 2);
    assert.equal(result!.stderr, "croft: build of 'a': no end after 1 s\n");
  });

  it("to its end, though something of it holds its output open in the background", async () => {
    const recipe = { build: "sleep 1000 & setsid sleep 1000 & echo done" };
    const [result] = await build({ recipe }, ["a"], history.commits.slice(0, 1));
    assert.deepEqual([result!.return_code, result!.stdout], [0, "done\n"]);
  });

  it("in parallel, each in its own source, with all processors and never more jobs than that", async () => {
    const log = join(place.path, "jobs");
    const meet = join(place.path, "meet");
    // Each of the three waits until all of them run.
    const recipe = {
      build:
        `echo start {jobs} $(pwd -P) >> ${log}; : > ${meet}-{target}; n=0;` +
        `while [ ! -e ${meet}-x ] || [ ! -e ${meet}-y ] || [ ! -e ${meet}-z ]; do sleep 0.05; n=$((n + 1)); [ $n -lt 1000 ] || exit 1; done;` +
        `sleep 0.2; echo end {jobs} >> ${log}`,
    };
    const results = await build({ recipe }, ["x", "y", "z"], history.commits.slice(0, 2), 8);
    assert.ok(results.every((result) => result.return_code === 0));
    const events = readFileSync(log, "utf8").trim().split("\n").map((line) => line.split(" ")); // prettier-ignore
    let running = 0;
    let most = 0;
    for (const [event, jobs] of events) {
      running += Number(jobs) * (event === "start" ? 1 : -1);
      most = Math.max(most, running);
    }
    assert.equal(most, 8);
    const sources = new Set(events.filter(([event]) => event === "start").map(([, , source]) => source));
    assert.equal(sources.size, 3);
  });

  it("with a sign of life while it takes long", async () => {
    const responses = await inProcess(history, { build: "sleep 1" }, 0.2);
    const beats = responses.filter(({ resp }) => resp === "heartbeat");
    assert.ok(beats.length >= 3, JSON.stringify(responses));
    assert.deepEqual(beats[0], { resp: "heartbeat", board: "a", thread: 0 });
    assert.equal((responses.at(-2) as BuildResult).return_code, 0);
    assert.ok(statSync(join(history.directory, ".croft-worker/00")).isDirectory());
  });

  it("with signs of life as often as the boss wants them", async () => {
    await using worker = new WorkerProcess({ workDir: history.directory });
    await worker.expect("ready");
    worker.send({
      cmd: "configure",
      settings: { recipe: { build: "sleep 3" }, heartbeat: 1 },
      toolchains: {},
    });
    worker.send({ cmd: "build_prepare", commits: history.commits.slice(0, 1) });
    await worker.until("build_prepare_done");
    worker.send({ cmd: "build_board", board: "a" });
    worker.send({ cmd: "build_done" });
    const beats = (await worker.until("build_done")).filter(({ resp }) => resp === "heartbeat");
    assert.ok(beats.length >= 3, String(beats.length));
  });
});

/** A conversation about one target in this process, up to `build_done`. */
async function inProcess(history: SourceHistory, recipe: { build: string }, heartbeatSeconds: number) {
  const [input, output] = [new PassThrough(), new PassThrough()];
  using conversation = new Conversation({
    ...{ input, output, log: assert.fail, workDir: history.directory, threads: 1, heartbeatSeconds },
  });
  const done = Promise.withResolvers<void>();
  const responses: { resp: string }[] = [];
  const splitter = new LineSplitter();
  output.on("data", (chunk: Buffer) => {
    for (const { text } of splitter.push(chunk)) {
      const parsed = parseResponse(text);
      assert.equal(parsed.kind, "message");
      responses.push(parsed.message);
      if (parsed.message.resp === "build_done") done.resolve();
    }
  });
  const ended = conversation.run();
  input.write(formatCommand({ cmd: "configure", settings: { recipe }, toolchains: {} }));
  const commits = history.commits.slice(0, 1);
  input.write(formatCommand({ cmd: "build_boards", boards: [{ board: "a" }], commits }));
  await done.promise;
  input.end();
  await ended;
  return responses;
}
