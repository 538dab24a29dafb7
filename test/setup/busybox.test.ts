import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { isStatic, staticBusybox } from "./busybox.js";

const loadable = 1;
const interpreter = 3;

/** The head of an ELF program with segments of these types, by elf(5). */
function elf(bits: 32 | 64, little: boolean, segments: readonly number[]): Buffer {
  const file = Buffer.alloc(512);
  const put = (at: number, size: 2 | 4, value: number) =>
    little ? file.writeUIntLE(value, at, size) : file.writeUIntBE(value, at, size);
  file.write("\x7fELF", "latin1");
  file[4] = bits === 64 ? 2 : 1;
  file[5] = little ? 1 : 2;
  const table = bits === 64 ? 64 : 52;
  const size = bits === 64 ? 56 : 32;
  if (bits === 32) put(28, 4, table);
  else put(little ? 32 : 36, 4, table);
  put(bits === 64 ? 54 : 42, 2, size);
  put(bits === 64 ? 56 : 44, 2, segments.length);
  for (const [index, type] of segments.entries()) put(table + index * size, 4, type);
  return file;
}

test("a program is static if none of its segments names a dynamic linker", async () => {
  await using directory = await temporaryDirectory("croft-test-elf-");
  const file = join(directory.path, "program");
  for (const bits of [32, 64] as const)
    for (const little of [true, false]) {
      await writeFile(file, elf(bits, little, [loadable, loadable]));
      assert.equal(isStatic(file), true, `${bits} ${little}`);
      await writeFile(file, elf(bits, little, [loadable, interpreter]));
      assert.equal(isStatic(file), false, `${bits} ${little}`);
    }
  await writeFile(file, "#!/bin/sh\n".padEnd(100));
  assert.equal(isStatic(file), false);
  await writeFile(file, "");
  assert.equal(isStatic(file), false);
});

test("a busybox that is linked dynamically is passed over, and the clone's own is preferred", async () => {
  await using directory = await temporaryDirectory("croft-test-busybox-");
  const at = (...parts: string[]) => join(directory.path, ...parts);
  const put = async (file: string, segments: readonly number[]) => {
    await mkdir(join(file, ".."), { recursive: true });
    await writeFile(file, elf(64, true, segments));
  };
  const path = `${at("none")}:${at("usual")}:${at("static")}`;
  await put(at("usual", "busybox"), [interpreter, loadable]);
  assert.equal(staticBusybox(at("clone"), path), undefined);
  await put(at("static", "busybox"), [loadable]);
  assert.equal(staticBusybox(at("clone"), path), at("static", "busybox"));
  await put(at("clone", ".cache", "busybox", "busybox"), [loadable]);
  assert.equal(staticBusybox(at("clone"), path), at("clone", ".cache", "busybox", "busybox"));
});
