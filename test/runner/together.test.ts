import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
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

test("real tests that open controllers in their own process share some, unless one has what would be all others' too", async () => {
  await using directory = await temporaryDirectory("croft-test-together-");
  const at = (name: string) => join(directory.path, name);
  const imports = `import { openFarm } from "../in-process.ts";\n`;
  const files = Array.from({ length: 8 }, (_, index) => at(`${index}.real.ts`));
  for (const file of files) await writeFile(file, imports);
  const [hooked, changing, process] = [at("a.real.ts"), at("b.real.ts"), at("c.real.ts")];
  await writeFile(hooked, `${imports}before(() => {});\n`);
  await writeFile(changing, `${imports}process.env["HOME"] = "/";\n`);
  await writeFile(process, `import { makeFarm } from "../farm.ts";\n`);
  const alone = [hooked, changing, process];
  const run = await together([...files, ...alone], directory.path);
  assert.deepEqual(run.slice(0, 3), alone);
  assert.equal(run.length, 5);
  const grouped = (await Promise.all(run.slice(3).map((group) => readFile(group, "utf8")))).join("");
  for (const file of files) assert.ok(grouped.includes(pathToFileURL(file).href), file);
});
