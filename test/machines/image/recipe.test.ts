import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { checkSpace } from "../../../machines/image/free-space.ts";
import { kernelPackages } from "../../../machines/image/packages.ts";
import { readRecipe } from "../../../machines/image/read-recipe.ts";
import { writeRecipe, type Recipe } from "../../../machines/image/recipe.ts";
import { Failure } from "../../../os/failure.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

const recipe: Recipe = {
  ...{ kind: "debian", release: "trixie", architecture: "i386", include: ["lz4", "libc6-dev:amd64"] },
  ...{ diskGiB: 8, summary: "yes: # a summary", script: "#!/bin/sh\necho 'a: b'  \n\ttrue\n\n" },
};

test("a recipe comes back from its file as it was", async () => {
  await using directory = await temporaryDirectory("croft-test-recipe-");
  const { script, ...withoutScript } = recipe;
  assert.ok(script);
  for (const each of [recipe, withoutScript]) {
    await writeRecipe(directory.path, each);
    assert.deepEqual(readRecipe("m", directory.path), each);
  }
});

test("a machine without a recipe, and a recipe that is not understood, are told", async () => {
  await using directory = await temporaryDirectory("croft-test-recipe-");
  assert.throws(() => readRecipe("m", directory.path), /Cannot update machine 'm': .* has no recipe\.yaml/);
  await writeRecipe(directory.path, recipe);
  const file = join(directory.path, "recipe.yaml");
  const text = "kind: minimal\nrelease: sid\narchitecture: amd64\ndisk-size: 1\nsummary: a\n";
  for (const [line, wanted] of [
    ["include: ['--bad']", /recipe\.yaml.*:6:.*include/],
    ["unknown: 1", /recipe\.yaml.*:6:.*unknown key/],
  ] as const) {
    await writeFile(file, `${text}${line}\n`);
    assert.throws(() => readRecipe("m", directory.path), wanted);
  }
});

test("the kernel is that of amd64 for i386", () => {
  assert.deepEqual(kernelPackages("amd64"), ["linux-image-cloud-amd64"]);
  assert.deepEqual(kernelPackages("i386"), ["linux-image-cloud-amd64:amd64"]);
  assert.deepEqual(kernelPackages("riscv64"), ["linux-image-riscv64"]);
});

test("room for a machine is looked at, and told", async () => {
  await using directory = await temporaryDirectory("croft-test-space-");
  assert.match(
    await checkSpace(directory.path, recipe, 4.5 * 1024 ** 3),
    /^space: about 4\.0 GiB .* 4\.5 GiB are free$/,
  );
  await assert.rejects(
    checkSpace(directory.path, recipe, 3 * 1024 ** 3),
    (error: Failure) =>
      error instanceof Failure && /takes about 4\.0 GiB .* 3\.0 GiB are free/.test(error.message),
  );
});
