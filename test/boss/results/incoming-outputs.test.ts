import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { IncomingOutputs } from "../../../boss/results/incoming-outputs.ts";
import { ResultStore } from "../../../boss/results/store.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

const digest = (text: string) => createHash("sha256").update(text).digest("hex");
const piece = (name: string, text: string, commit_upto = 0, board = "a") =>
  ({ resp: "build_output", board, commit_upto, name, data: Buffer.from(text).toString("base64") }) as const;
const result = (outputs: { name: string; size: number; sha256: string }[], commit_upto = 0) =>
  ({
    ...({ resp: "build_result", board: "a", return_code: 0, stderr: "", stdout: "", load_avg: 0 } as const),
    ...{ commit_upto, outputs },
  }) as const;

test("files that came in pieces are kept with the result that has their digests, and become a part of it", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const commits = [{ hash: "0".repeat(40), subject: "x" }];
  const target = { name: "a", arch: "sandbox" };
  const store = new ResultStore(directory.path, commits);
  using incoming = new IncomingOutputs(directory.path);
  for (const text of ["be", "gin"]) incoming.add("alpha", piece("u-boot", text));
  incoming.add("alpha", piece("empty", ""));
  incoming.add("beta", piece("u-boot", "of another host"));
  const outputs = incoming.take(
    "alpha",
    result([
      { name: "u-boot", size: 5, sha256: digest("begin") },
      { name: "empty", size: 0, sha256: digest("") },
    ]),
  );
  store.write(target, 0, { ...{ returnCode: 0, stderr: "", stdout: "", host: "alpha" }, outputs });
  await store.settle();
  const path = store.pathOf(target, 0);
  assert.equal(readFileSync(join(path, "u-boot"), "utf8"), "begin");
  assert.equal(readFileSync(join(path, "empty"), "utf8"), "");
  assert.equal(
    readFileSync(join(path, "sha256sums"), "utf8"),
    `${digest("begin")}  u-boot\n${digest("")}  empty\n`,
  );
});

test("what has not come whole, is of another commit, or has a name that would lead elsewhere is not kept", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  using incoming = new IncomingOutputs(directory.path);
  const waiting = () => readdirSync(join(directory.path, ".croft-incoming")).length;
  incoming.add("alpha", piece("short", "ab"));
  incoming.add("alpha", piece("other", "ab"));
  assert.deepEqual(
    incoming.take(
      "alpha",
      result([
        { name: "short", size: 3, sha256: digest("ab") },
        { name: "other", size: 2, sha256: digest("ac") },
      ]),
    ),
    [],
  );
  assert.equal(waiting(), 0);
  incoming.add("alpha", piece("u-boot", "old", 0));
  incoming.add("alpha", piece("u-boot", "new", 1));
  assert.equal(waiting(), 1, "one commit at a time");
  assert.deepEqual(incoming.take("alpha", result([{ name: "u-boot", size: 3, sha256: digest("old") }])), []);
  incoming.forget("alpha");
  assert.equal(waiting(), 0, "a host that is lost leaves nothing");

  const store = new ResultStore(join(directory.path, "results"), [{ hash: null, subject: "now" }]);
  const target = { name: "a", arch: "sandbox" };
  const path = join(directory.path, "file");
  writeFileSync(path, "x");
  const outputs = ["../../escaped", "done", "sha256sums", ".."].map((name) => ({ name, path, sha256: "" }));
  store.write(target, 0, { ...{ returnCode: 0, stderr: "", stdout: "", host: "alpha" }, outputs });
  await store.settle();
  assert.ok(existsSync(path), "it stays where it was");
  assert.equal(store.returnCodeOf(target, 0), 0);
});

test("what a boss that was killed has left goes with the next, and what is left over with the run", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const path = join(directory.path, ".croft-incoming");
  mkdirSync(path);
  writeFileSync(join(path, "0"), "old");
  {
    using incoming = new IncomingOutputs(directory.path);
    assert.ok(!existsSync(path));
    incoming.add("alpha", piece("u-boot", "begin"));
    assert.ok(existsSync(path));
  }
  assert.ok(!existsSync(path));
});
