import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";
import { shippedWorker } from "../../../worker/remote/shipped.ts";
import { makeSourceHistory } from "../../fixtures/source-history.ts";
import { WorkerProcess } from "./worker-process.ts";

describe("the worker as a boss ships it", () => {
  it("is complete: it builds where there is nothing but its files and Node.js", async () => {
    await using place = await temporaryDirectory("croft-test-");
    const { entry, files } = await shippedWorker();
    const home = join(place.path, "shipped");
    for (const { path, content } of files) {
      await mkdir(dirname(join(home, path)), { recursive: true });
      await writeFile(join(home, path), content);
    }
    const { commits } = makeSourceHistory(join(place.path, "source"), { a: {} }, [{}]);
    const env = {
      PATH: process.env["PATH"]!,
      HOME: place.path,
      CROFT_TEST_RUN: process.env["CROFT_TEST_RUN"],
    };
    await using worker = new WorkerProcess({
      workDir: join(place.path, "source"),
      entry: join(home, entry),
      env,
    });
    await worker.expect("ready");
    worker.send({ cmd: "build_boards", boards: [{ board: "a" }], commits });
    assert.equal((await worker.results())[0]!.return_code, 0);
    assert.equal(worker.errors, "");
  });

  it("has its own files only, and a version that follows them", async () => {
    const { version, entry, files } = await shippedWorker();
    assert.match(version, /^[0-9a-f]{16}$/);
    assert.equal(entry, "worker/remote/main.ts");
    const paths = files.map(({ path }) => path);
    for (const needed of [
      entry,
      "worker/remote/guard.ts",
      "worker/protocol.ts",
      "os/text/lines.ts",
      "package.json",
    ])
      assert.ok(paths.includes(needed), needed);
    assert.ok(
      paths.every((path) => /^(worker|os)\/.*\.ts$|^package\.json$/.test(path)),
      paths.join(" "),
    );
    assert.ok(!paths.includes("worker/remote/command.ts"), "the command line's own part needs a package");
    for (const { path, content } of files)
      if (path !== "package.json") assert.deepEqual(content, await readFile(packageFile(path)));
    assert.deepEqual(await shippedWorker(), { version, entry, files });
  });

  it("is what 'croft worker --remote' runs", async () => {
    const croft = [process.execPath, packageFile("bin", "croft.js"), "worker"];
    const { stdout } = await run([...croft, "--remote", "--threads", "3"], { timeoutSeconds: 300 });
    assert.equal(stdout, 'BM> {"resp":"ready","nthreads":3,"slots":3}\n');
    const refused = await run([...croft], { timeoutSeconds: 300, accept: [2] });
    assert.match(refused.stderr, /^croft: Cannot run 'croft worker': it must be told for whom/);
    const wrong = await run([...croft, "--remote", "--threads", "0"], { timeoutSeconds: 300, accept: [2] });
    assert.match(wrong.stderr, /Cannot use --threads 0/);
    assert.equal(wrong.status, 2);
  });
});
