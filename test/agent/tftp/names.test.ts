import assert from "node:assert/strict";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { get, put, TftpError } from "./client.ts";
import { startServer } from "./server.ts";

const code = (expected: number) => (error: unknown) => error instanceof TftpError && error.code === expected;

test("TFTP reads come from the readable directory, writes go to the writable one", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "a"), "readable");
  await writeFile(join(s.writable, "b"), "writable");
  assert.equal((await get(s.port, "a")).toString(), "readable");
  assert.equal((await get(s.port, "/a")).toString(), "readable", "a leading slash is ignored");
  await assert.rejects(get(s.port, "b"), code(1));
  await put(s.port, "a", Buffer.from("new"));
  assert.equal(await readFile(join(s.readable, "a"), "utf8"), "readable");
  assert.equal(await readFile(join(s.writable, "a"), "utf8"), "new");
});

test("TFTP names of directories inside are followed, but none are made", async () => {
  await using s = await startServer();
  await mkdir(join(s.readable, "d"));
  await mkdir(join(s.writable, "d"));
  await writeFile(join(s.readable, "d", "f"), "inside");
  assert.equal((await get(s.port, "d/f")).toString(), "inside");
  await put(s.port, "d/g", Buffer.from("x"));
  assert.equal(await readFile(join(s.writable, "d", "g"), "utf8"), "x");
  await assert.rejects(put(s.port, "e/g", Buffer.from("x")), code(1));
  await assert.rejects(put(s.port, "d", Buffer.from("x")), code(2), "a directory is not replaced");
  await assert.rejects(get(s.port, "d"), code(2));
  assert.deepEqual((await s.written()).sort(), ["d"]);
});

const escapes = {
  "parent directory": "../secret",
  "inner parent directory": "d/../../secret",
  "inner parent directory that stays inside": "d/../f",
  "trailing parent directory": "d/..",
  "absolute, beyond the one slash": "//etc/passwd",
  "current directory": "./f",
  "empty component": "d//f",
  "no name": "",
  "slash only": "/",
  backslash: "..\\secret",
  "percent-encoded parent": "%2e%2e/secret",
  "percent-encoded slash": "..%2Fsecret",
  "overlong UTF-8 slash": Buffer.from([0x2e, 0x2e, 0xc0, 0xaf, 0x73]),
  "control character": "a\nb",
  "an unfinished upload": ".croft-upload-x",
};

for (const [what, name] of Object.entries(escapes))
  test(`a TFTP name is refused: ${what}`, async () => {
    await using s = await startServer();
    await mkdir(join(s.readable, "d"));
    await mkdir(join(s.writable, "d"));
    await writeFile(join(s.readable, "f"), "f");
    await writeFile(join(s.readable, "..", "secret"), "secret");
    await writeFile(join(s.readable, ".croft-upload-x"), "secret");
    await assert.rejects(get(s.port, name), code(2));
    await assert.rejects(put(s.port, name, Buffer.from("x")), code(2));
    assert.deepEqual(await s.written(), ["d"]);
  });

test("a TFTP name ends at its NUL: what follows is the mode, and refused as such", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "f"), "f");
  await assert.rejects(get(s.port, "f\0.."), code(4));
});

test("TFTP follows no symbolic link out of its directories", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "..", "secret"), "secret");
  await mkdir(join(s.readable, "..", "outside"));
  await writeFile(join(s.readable, "..", "outside", "f"), "secret");
  for (const directory of [s.readable, s.writable]) {
    await symlink("../secret", join(directory, "link"));
    await symlink("../outside", join(directory, "door"));
    await symlink("/etc", join(directory, "etc"));
  }
  for (const name of ["link", "door/f", "etc/passwd"]) await assert.rejects(get(s.port, name), code(2));
  for (const name of ["door/g", "etc/croft-test"])
    await assert.rejects(put(s.port, name, Buffer.from("x")), code(2));
  await put(s.port, "link", Buffer.from("x")); // the link itself is replaced
  assert.equal(await readFile(join(s.readable, "..", "secret"), "utf8"), "secret");
  assert.equal(await readFile(join(s.writable, "link"), "utf8"), "x");
});

test("TFTP reads a symbolic link that stays inside", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "worker-2"), "two");
  await symlink("worker-2", join(s.readable, "worker"));
  assert.equal((await get(s.port, "worker")).toString(), "two");
});
