import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Failure } from "../../../os/failure.ts";
import { sourceLines } from "../../../machines/image/apt-sources.ts";
import { checkPrograms } from "../../../machines/image/programs.ts";
import { environment } from "../../../machines/image/work-tree.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";

const targets = [
  "http://mirror.example/debian bookworm main",
  "http://mirror.example/debian bookworm main",
  "http://mirror.example/debian bookworm-updates main",
  "http://mirror.example/debian bookworm-backports main",
  "http://mirror.example/security bookworm-security main",
  "http://mirror.example/debian trixie main",
].join("\n");

test("the host's own sources of a release are used, without backports", () => {
  assert.deepEqual(sourceLines(targets, "bookworm"), [
    "deb http://mirror.example/debian bookworm main",
    "deb http://mirror.example/debian bookworm-updates main",
    "deb http://mirror.example/security bookworm-security main",
  ]);
  assert.deepEqual(sourceLines(targets, "trixie"), ["deb http://mirror.example/debian trixie main"]);
});

test("for another release the host's mirror is used, and without any the builder's default", () => {
  assert.deepEqual(sourceLines("http://mirror.example/debian bookworm main\n", "forky"), [
    "deb http://mirror.example/debian forky main",
  ]);
  assert.deepEqual(sourceLines(targets, "sid"), ["deb http://mirror.example/debian sid main"]);
  assert.deepEqual(sourceLines("", "bookworm"), []);
});

test("missing programs are named all at once, with the packages that have them", () => {
  assert.throws(
    () => checkPrograms(["/nowhere"]),
    (error: Failure) => {
      assert.ok(error instanceof Failure);
      assert.match(error.message, /^Cannot make a machine: this host lacks .*mkfs\.ext4, mmdebstrap/);
      assert.match(
        error.hints[0]!,
        /apt-get install apt cpio kmod dpkg e2fsprogs mmdebstrap util-linux xz-utils$/,
      );
      return true;
    },
  );
});

test("a machine is made by the system's programs, whatever is called like them in the user's PATH", async (context) => {
  await using directory = await temporaryDirectory("croft-test-path-");
  const other = join(directory.path, "sort");
  writeFileSync(other, "#!/bin/sh\necho another\n");
  chmodSync(other, 0o755);
  const before = process.env["PATH"];
  context.after(() => (process.env["PATH"] = before));
  process.env["PATH"] = directory.path;
  const { stdout } = await run(["sort"], { timeoutSeconds: 60, input: "the system's\n", env: environment() });
  assert.equal(stdout, "the system's\n");
});
