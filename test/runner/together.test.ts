import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { together } from "./together.ts";

test("unit tests share processes, each is in one of them; others and a few have their own", async () => {
  await using directory = await temporaryDirectory("croft-test-together-");
  const at = (name: string) => join(directory.path, name);
  const units = Array.from({ length: 50 }, (_, index) => at(`${index}.test.ts`));
  for (const file of units)
    await writeFile(file, `globalThis.loaded = [...(globalThis.loaded ?? []), import.meta.url];\n`);
  const [real, ...groups] = await together(["a.real.ts", ...units], directory.path);
  assert.equal(real, "a.real.ts");
  assert.ok(groups.length > 1 && groups.length < 5, String(groups.length));
  for (const group of groups) await import(group);
  assert.deepEqual(
    (globalThis as { loaded?: string[] }).loaded,
    units.map((file) => pathToFileURL(file).href),
  );
  const few = units.slice(0, 3);
  assert.deepEqual(await together(few, directory.path), few);
});
