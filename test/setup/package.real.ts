/** What is published: packed, installed where nothing else is, and run. */
import assert from "node:assert/strict";
import { cp, mkdir, readFile, readdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { packageFile, packageVersion } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import type * as shipped from "../../worker/remote/shipped.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../os/files/temporary.ts";

/** PATH without the runtime of this clone: the system's own Node.js starts croft, whatever its version. */
const path = (process.env["PATH"] ?? "")
  .split(":")
  .filter((part) => !part.includes("node_modules"))
  .join(":");
// Neither npm's settings for the run that we are in, nor a mark of node's test runner.
const env: NodeJS.ProcessEnv = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_TEST_CONTEXT$|INIT_CWD$)/i.test(name)),
  ),
  PATH: path,
};

/** The npm that belongs to the system's Node.js: `npm` in PATH. */
const npm = (cwd: string, ...args: string[]) =>
  run(["npm", ...args, "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"], {
    timeoutSeconds: 600,
    cwd,
    env,
  });

describe("the published package", () => {
  let directory: TemporaryDirectory;
  let tarball: string;

  before(async () => {
    directory = await temporaryDirectory("croft-test-package-");
    const clone = join(directory.path, "clone");
    await copyClone(clone);
    // Runs the script "prepack", which builds.
    await run(["npm", "pack", "--pack-destination", directory.path], {
      timeoutSeconds: 300,
      cwd: clone,
      env,
    });
    tarball = join(directory.path, `croft-${packageVersion}.tgz`);
  });
  after(() => directory[Symbol.asyncDispose]());

  test("has what is needed to run, and neither sources nor tests", async () => {
    const { stdout } = await run(["tar", "-tzf", tarball], { timeoutSeconds: 300 });
    const files = stdout
      .trim()
      .split("\n")
      .map((file) => file.replace(/^package\//, ""));
    for (const needed of [
      ...["LICENSE", "README.md", "CHANGELOG.md", "bin/croft.js", "dist/bin/main.js"],
      ...["machines/image/pack.sh", "machines/image/initrd.sh"],
      ...["worker/guest/parts/10-settings.sh", "worker/guest/croft-init", "docs/architecture.md"],
      ...["docs/agent.md", "docs/man/croft-agent.1"],
      ...["controller/dashboard/static/style.css"],
    ])
      assert.ok(files.includes(needed), `${needed} is missing`);
    const foreign = files.filter((file) => /^test\/|\.ts$|^node_modules\//.test(file));
    assert.deepEqual(foreign, []);
    for (const unit of await readdir(packageFile("systemd")))
      assert.ok(files.includes(`systemd/${unit}`), unit);
  });

  test("works installed in a project, by npx", async () => {
    const project = join(directory.path, "project");
    await mkdir(project);
    await npm(project, "install", tarball);
    await works((...args) => ["npx", "--no-install", "croft", ...args], project);
    await shipsItsWorker(join(project, "node_modules", "croft"), join(directory.path, "host"));
  });

  test("works installed globally", async () => {
    const prefix = join(directory.path, "global");
    await mkdir(prefix);
    await npm(directory.path, "install", "--global", "--prefix", prefix, tarball);
    await works((...args) => [join(prefix, "bin/croft"), ...args], directory.path);
    assert.match(await readFile(join(prefix, "share/man/man1/croft-agent.1"), "utf8"), /^\.TH "CROFT/m);
  });
});

async function works(croft: (...args: string[]) => string[], cwd: string): Promise<void> {
  const said = async (args: string[], input = "") =>
    (await run(croft(...args), { timeoutSeconds: 300, cwd, env, input })).stdout;
  assert.match(await said(["--help"]), /^Usage: croft COMMAND[^]*\n {2}agent /);
  assert.equal(await said(["--version"]), `${packageVersion}\n`);
  assert.deepEqual(JSON.parse(await said(["manifest", "tokens", "-"], ": 1\nname: croft\n")), PAIRS);
  // Every command can be loaded, with what it needs.
  for (const command of ["agent", "controller", "submit", "builds", "machine", "worker", "boss", "doctor"])
    assert.match(await said([command, "--help"]), /^Usage: croft /);
}

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
  const said = await run([process.execPath, join(host, entry), "--threads", "1"], { timeoutSeconds: 300 });
  const ready = 'BM> {"resp":"ready","nthreads":1,"slots":1}\n';
  assert.deepEqual([said.status, said.stdout, said.stderr], [0, ready, ""]);
}

const PAIRS: unknown = await expectedPairs();

/** What the clone says, which has tests of its own for it. */
async function expectedPairs(): Promise<unknown> {
  const { stdout } = await run([process.execPath, packageFile("bin/croft.js"), "manifest", "tokens", "-"], {
    timeoutSeconds: 300,
    input: ": 1\nname: croft\n",
  });
  return JSON.parse(stdout);
}

/** The files that belong to the project, beside the modules of this clone. */
async function copyClone(to: string): Promise<void> {
  const list = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const { stdout } = await run(list, { timeoutSeconds: 300, cwd: packageFile() });
  for (const file of stdout.split("\0").filter((name) => name !== "" && !name.startsWith("test/"))) {
    if ((await readFile(packageFile(file)).catch(() => undefined)) === undefined) continue; // removed meanwhile
    await mkdir(dirname(join(to, file)), { recursive: true });
    await cp(packageFile(file), join(to, file), { verbatimSymlinks: true });
  }
  await symlink(packageFile("node_modules"), join(to, "node_modules"));
}
