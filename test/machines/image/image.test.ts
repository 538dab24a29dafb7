import assert from "node:assert/strict";
import { test } from "node:test";
import { Failure } from "../../../os/failure.ts";
import { sourceLines } from "../../../machines/image/apt-sources.ts";
import { checkPrograms } from "../../../machines/image/programs.ts";

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
