import assert from "node:assert/strict";
import { chmod, chown, mkdir, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { closeDirectory, isOpenDirectory } from "../../../os/files/private.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);

test("an open directory is closed with all that is in it, and nothing that links lead to", async () => {
  await using directory = await temporaryDirectory("croft-test-private-");
  const at = (...parts: string[]) => join(directory.path, ...parts);
  await mkdir(at("data", "inner"), { recursive: true });
  await writeFile(at("data", "inner", "secret"), "x");
  await writeFile(at("data", "program"), "x");
  await writeFile(at("elsewhere"), "x");
  await symlink(at("elsewhere"), at("data", "link"));
  await chmod(at("data"), 0o755);
  await chmod(at("data", "inner"), 0o2777);
  for (const name of ["inner/secret", "../elsewhere"]) await chmod(at("data", name), 0o666);
  await chmod(at("data", "program"), 0o755);
  assert.equal(await isOpenDirectory(at("data")), true);
  assert.equal(await closeDirectory(at("data")), true);
  for (const [name, mode] of [
    ["data", "700"],
    ["data/inner", "700"],
    ["data/inner/secret", "600"],
    ["data/program", "700"],
    ["elsewhere", "666"],
  ] as const)
    assert.equal(await modeOf(at(name)), mode, name);
  assert.equal(await isOpenDirectory(at("data")), false);
  assert.equal(await closeDirectory(at("data")), false);
});

test(
  "a directory of another user is refused",
  { skip: process.getuid?.() !== 0 && "only root gives files away" },
  async () => {
    await using directory = await temporaryDirectory("croft-test-private-");
    await chown(directory.path, 65_534, 65_534);
    await assert.rejects(closeDirectory(directory.path), /it belongs to user 65534, and this is user 0/);
  },
);
