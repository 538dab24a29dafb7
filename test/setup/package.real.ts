/** What is published: packed. Installed it is used in test/package/. */
import assert from "node:assert/strict";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { dirname, join, relative } from "node:path";
import { after, before, describe, test } from "node:test";
import { packPackage, projectFiles } from "../package/pack.ts";
import { run } from "../../os/run.ts";
import type * as shipped from "../../worker/remote/shipped.ts";
import typescript from "typescript";
import { temporaryDirectory, type TemporaryDirectory } from "../../os/files/temporary.ts";

describe("the published package", () => {
  let directory: TemporaryDirectory;
  let tarball: string;
  let packed: string;

  before(async () => {
    directory = await temporaryDirectory("croft-test-package-");
    tarball = await packPackage(directory.path);
    packed = join(directory.path, "package");
    await run(["tar", "-xzf", tarball, "-C", directory.path], { timeoutSeconds: 60 });
  });
  after(() => directory[Symbol.asyncDispose]());

  test("has every file of the project that is no source, and neither sources nor tests", async () => {
    const files = await filesBelow(packed);
    const needed = (await projectFiles()).filter((file) => file.includes("/") && !isLeftOut.test(file));
    assert.ok(needed.includes("worker/guest/parts/90-main.sh"));
    assert.deepEqual(
      needed.map((file) => file.replace(/^(.*)\.ts$/, "dist/$1.js")).filter((file) => !files.has(file)),
      [],
    );
    for (const file of ["LICENSE", "README.md", "CHANGELOG.md"]) assert.ok(files.has(file), file);
    assert.deepEqual(
      [...files].filter((file) => /^test\/|\.ts$|^node_modules\//.test(file)),
      [],
    );
  });

  test("has each man page where npm installs it from, and each document that another one names", async () => {
    const files = await filesBelow(packed);
    const { man } = JSON.parse(await readFile(join(packed, "package.json"), "utf8")) as { man: string[] };
    assert.deepEqual([...files].filter((file) => file.startsWith("docs/man/")).sort(), man.toSorted());
    for (const page of [...files].filter((file) => file.endsWith(".md")))
      for (const [, target] of (await readFile(join(packed, page), "utf8")).matchAll(
        /\]\(([^):#]+)(?:#[^)]*)?\)/g,
      )) {
        const named = join(dirname(page), target!);
        const there = files.has(named) || [...files].some((file) => file.startsWith(`${named}/`));
        assert.ok(there || named === "CONTRIBUTING.md", `${page} names ${named}`);
      }
  });

  test("imports only its own files and the packages that it depends on", async () => {
    const files = await filesBelow(packed);
    const { dependencies } = JSON.parse(await readFile(join(packed, "package.json"), "utf8")) as {
      dependencies: Record<string, string>;
    };
    let imports = 0;
    for (const file of [...files].filter((name) => /^(dist|bin)\/.*\.js$/.test(name)))
      for (const name of importsOf(await readFile(join(packed, file), "utf8"))) {
        imports += 1;
        const found = name.startsWith(".")
          ? files.has(join(dirname(file), name))
          : isBuiltin(name) || Object.keys(dependencies).some((d) => name === d || name.startsWith(`${d}/`));
        assert.ok(found, `${file} imports ${name}`);
      }
    assert.ok(imports > 500, `only ${imports} imports were found`);
  });

  test("has a worker that a boss can copy to hosts, complete", () =>
    shipsItsWorker(packed, join(directory.path, "host")));
});

/** What a boss copies to hosts is complete in the published package, too. */
async function shipsItsWorker(installed: string, host: string): Promise<void> {
  const { shippedWorker } = (await import(
    join(installed, "dist/worker/remote/shipped.js")
  )) as typeof shipped;
  const { entry, files } = await shippedWorker();
  assert.equal(entry, "worker/remote/main.js");
  for (const { path, content } of files) {
    await mkdir(dirname(join(host, path)), { recursive: true });
    await writeFile(join(host, path), content);
  }
  const said = await run([process.execPath, join(host, entry), "--threads", "1"], { timeoutSeconds: 60 });
  const ready = 'BM> {"resp":"ready","nthreads":1,"slots":1}\n';
  assert.deepEqual([said.status, said.stdout, said.stderr], [0, ready, ""]);
}

/** What the package is made by, but does not have. */
const isLeftOut = /^(test|packaging|\.ci)\/|^bin\/croft$|\.d\.ts$/;

async function filesBelow(directory: string): Promise<Set<string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return new Set(
    entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => relative(directory, join(entry.parentPath, entry.name))),
  );
}

/** What a module imports: statically, when it is called, or as a program to start. */
function importsOf(source: string): string[] {
  return [
    ...typescript.preProcessFile(source).importedFiles.map(({ fileName }) => fileName),
    ...[...source.matchAll(/["'`](\.{1,2}\/[^"'`\s]*\.[tj]s)["'`]/g)].map((match) => match[1]!),
  ];
}
