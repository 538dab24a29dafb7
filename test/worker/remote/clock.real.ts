/** A host's clock that is wrong, is set, or goes on after an hour: nothing of that is a target's. */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "../../../os/run.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { until } from "../../controller/until.ts";
import { processesWith } from "../../boss/results/results.ts";
import { makeSourceHistory } from "../../fixtures/source-history.ts";
import { WorkerProcess } from "./worker-process.ts";

test("after a clock was set back, what has changed is built, and make's complaints are nobody's warnings", async () => {
  await using place = await temporaryDirectory("croft-test-");
  const history = makeSourceHistory(join(place.path, "source"), { a: {} }, [{}, { warns: ["a"] }, {}]);
  await using worker = new WorkerProcess({ workDir: history.directory, threads: 1 });
  await worker.expect("ready");
  // What the first build makes is an hour younger than what is checked out next.
  const ahead = `[ -e ${place.path}/set ] || find {out} -exec touch -d "+1 hour" {} +; touch ${place.path}/set`;
  const recipe = {
    configure: "make -s O={out} {target}_defconfig",
    build: `make -s O={out} && { ${ahead}; }`,
    sizes: "size {out}/u-boot",
    reconfigure: ["configs/**"],
  };
  worker.send({ cmd: "configure", settings: { recipe }, toolchains: {} });
  worker.send({ cmd: "build_prepare", commits: history.commits });
  worker.send({ cmd: "build_board", board: "a", arch: "sandbox" });
  worker.send({ cmd: "build_done" });
  const results = await worker.results();
  const warned = results.map(({ stderr }) => /unused variable/.test(stderr));
  assert.deepEqual(warned, [false, true, false], results[1]!.stderr);
  for (const { stderr } of results) assert.doesNotMatch(stderr, /[Cc]lock|future/);
  const [first, second, third] = results.map(({ sizes }) => Number.parseInt(sizes!.raw, 10));
  assert.deepEqual([second! - first!, third! - first!], [1, 2], "each has what its commit has");
});

test("a build on a host that is an hour behind, and sleeps for another amid it, is as any other", async () => {
  await using place = await temporaryDirectory("croft-test-");
  const at = (name: string) => join(place.path, name);
  const history = makeSourceHistory(at("source"), { a: {} }, [{}]);
  const { stdout } = await run(["faketime", "-f", "+0", "sh", "-c", "echo $LD_PRELOAD"], {
    timeoutSeconds: 60,
  });
  const setClock = (text: string) => writeFileSync(at("clock"), `${text}\n`);
  setClock("-1h");
  const clock = {
    FAKETIME_TIMESTAMP_FILE: at("clock"),
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
  const env = { ...process.env, LD_PRELOAD: stdout.trim(), ...clock };
  await using worker = new WorkerProcess({ workDir: history.directory, threads: 1, env });
  await worker.expect("ready");
  const configure = `touch ${at("configuring")}; until [ -e ${at("go")} ]; do sleep 0.1; done`;
  const recipe = { configure, build: `date +%s > ${at("time")}; sleep 2; make -s O={out} a_defconfig all` };
  worker.send({ cmd: "configure", settings: { recipe, build_timeout: 600 }, toolchains: {} });
  worker.send({ cmd: "build_prepare", commits: history.commits });
  worker.send({ cmd: "build_board", board: "a", arch: "sandbox" });
  worker.send({ cmd: "build_done" });
  await until(() => Promise.resolve(existsSync(at("configuring"))), "its beginning");
  const all = processesWith(place.path);
  for (const pid of all) process.kill(pid, "SIGSTOP");
  setClock("+0");
  writeFileSync(at("go"), "");
  for (const pid of all) process.kill(pid, "SIGCONT");
  const [result] = await worker.results();
  assert.deepEqual([result!.return_code, result!.stderr], [0, ""]);
});
