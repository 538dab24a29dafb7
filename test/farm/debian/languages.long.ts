/** Projects of strangers in eleven languages and build systems, without a word for croft in them, built in a Debian machine */
import assert from "node:assert/strict";
import { copyFile, mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { temporaryDirectory, type TemporaryDirectory } from "../../../os/files/temporary.ts";
import { packageFile } from "../../../os/files/package.ts";
import { run } from "../../../os/run.ts";
import { upstreamArchive } from "../../fixtures/debian-source.ts";
import { startFarm, type Farm } from "../../fixtures/farm.ts";

/** What a person would put into a machine for them. */
const packages = [
  ...["cmake", "meson", "scdoc", "pkg-config", "python3-pip", "python3-setuptools", "python3-wheel"],
  ...[
    "python3-pytest",
    "golang-go",
    "cargo",
    "r-base-core",
    "ghc",
    "libghc-quickcheck2-dev",
    "cabal-install",
  ],
  ...["ruby", "rake", "npm"],
];

interface Project {
  source: string;
  by: string;
  operations: string;
  log: RegExp;
}

/** Debian's source package, what builds it, the operations that succeed, and what its log shows. */
const projects: readonly Project[] = [
  {
    source: "ed",
    by: "C, Autotools",
    operations: "configure update test install",
    log: /tests completed successfully/,
  },
  { source: "cjson", by: "C, CMake", operations: "configure update test install", log: /100% tests passed/ },
  { source: "pixman", by: "C, Meson", operations: "configure update test install", log: /Fail: +0/ },
  { source: "scdoc", by: "C, make", operations: "update test install", log: /test\/preamble/ },
  { source: "toolz", by: "Python", operations: "update test install", log: /\d+ passed/ },
  {
    source: "libtry-tiny-perl",
    by: "Perl",
    operations: "configure update test install",
    log: /All tests successful/,
  },
  { source: "golang-github-google-uuid", by: "Go", operations: "update test", log: /^ok\s+github/m },
  { source: "rust-fnv", by: "Rust", operations: "update test", log: /test result: ok/ },
  { source: "r-cran-r6", by: "R", operations: "update test install", log: /Status: / },
  {
    source: "haskell-split",
    by: "Haskell",
    operations: "configure update test install",
    log: /suites passed|PASS/,
  },
  { source: "node-isarray", by: "JavaScript", operations: "configure test install", log: /isarray/ },
];

let farm: Farm;
let directory: TemporaryDirectory;

before(async () => {
  directory = await temporaryDirectory("croft-test-languages-");
  const machines = join(directory.path, "machines");
  await mkdir(join(machines, "volume"), { recursive: true });
  const create = [process.execPath, packageFile("bin", "main.ts"), "machine", "create", "debian"];
  await run([...create, "--machines", machines, "--volume", "volume", "--include", packages.join(",")], {
    timeoutSeconds: 3600,
  });
  const revision = join(machines, "volume", "debian", "debian-1");
  farm = await startFarm({ machine: "debian", revision, cpus: 2, ramKiB: 2 * 1024 * 1024 });
  await farm.startAgent(["--build-timeout", "7200"]);
});

after(async () => {
  await farm?.[Symbol.asyncDispose]();
  await directory?.[Symbol.asyncDispose]();
});

for (const { source, by, operations, log } of projects)
  test(`${source} (${by}) is known, built and tested`, async () => {
    const archive = await upstreamArchive(source);
    await copyFile(archive, join(farm.sources.directory, basename(archive)));
    const id = await farm.submit({ name: source, repository: farm.guestUrl(`/${basename(archive)}`) });
    const view = await farm.ended(id, 3600);
    const text = await farm.log(id);
    const done = view.operations.map(({ name, status }) => `${name} ${status}`).join(", ");
    process.stdout.write(`${source} (${by}): ${view.status}: ${done}\n`);
    assert.ok(["success", "warning"].includes(view.status!), `${done}\n${text.slice(-4000)}`);
    assert.deepEqual(
      view.operations.map(({ name }) => name),
      ["fetch", ...operations.split(" ")],
    );
    assert.match(text, log);
  });
