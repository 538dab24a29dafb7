/** Projects of strangers in eleven languages and build systems, without a word for croft in them, built in a Debian machine */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { guestWorker } from "../../../os/files/guest-worker.ts";
import { packageFile } from "../../../os/files/package.ts";
import { upstreamArchive } from "../../fixtures/debian-source.ts";
import { startFarm, type Farm } from "../../fixtures/farm.ts";
import { debianMachineWith } from "../../fixtures/machines/images.ts";
import { digestOf } from "../../fixtures/made.ts";

/**
 * With an emulated processor all of them together take longer than a part may: none is begun after this time, and another
 * run goes on with those that have not succeeded with this machine and this worker yet.
 */
const beginsWithinMs = 22 * 60_000;

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
  ...["ruby", "rake", "ruby-rspec", "npm"],
];

interface Project {
  source: string;
  by: string;
  operations: string;
  log: RegExp;
}

/** Debian's source package, what builds it, the operations that come to pass, and what its log shows. */
const projects: readonly Project[] = [
  { source: "scdoc", by: "C, make", operations: "update test install", log: /test\/preamble/ },
  {
    source: "bignumber.js",
    by: "JavaScript",
    operations: "configure test install",
    log: /In total, (\d+) of \1 tests passed/,
  },
  { source: "markupsafe", by: "Python", operations: "update test install", log: /\d+ passed/ },
  {
    source: "libtry-tiny-perl",
    by: "Perl",
    operations: "configure update test install",
    log: /All tests successful/,
  },
  { source: "golang-github-google-uuid", by: "Go", operations: "update test", log: /^ok\s+github/m },
  { source: "rust-fnv", by: "Rust", operations: "update test", log: /test result: ok/ },
  {
    source: "ed",
    by: "C, Autotools",
    operations: "configure update test install",
    log: /tests completed successfully/,
  },
  {
    source: "r-cran-bitops",
    by: "R",
    operations: "update test install",
    log: /Running .consistency\.R.\s+OK/,
  },
  { source: "fribidi", by: "C, Meson", operations: "configure update test install", log: /Fail: +0/ },
  { source: "cjson", by: "C, CMake", operations: "configure update test install", log: /100% tests passed/ },
  {
    source: "haskell-split",
    by: "Haskell",
    operations: "configure update test install",
    log: /suites passed|PASS/,
  },
];

let farm: Farm;
let began = 0;
let machine = "";

before(async () => {
  const revision = await debianMachineWith(packages);
  machine = digestOf(revision, readFileSync(join(revision, "manifest")), await guestWorker());
  if (projects.every(({ source }) => existsSync(outcomeOf(source)))) return;
  farm = await startFarm({ ...{ machine: "debian", from: "kept", revision }, cpus: 2, ramKiB: 2 << 20 });
  await farm.startAgent(["--build-timeout", "7200", "--startup-timeout", "3000"]);
  began = performance.now();
});

after(async () => {
  await farm?.[Symbol.asyncDispose]();
});

/** What is kept of one that came out as it should: with `--again`, of none. */
function outcomeOf(source: string): string {
  return packageFile(".cache", "long", "languages", `${source}-${machine}`);
}

for (const { source, by, operations, log } of projects)
  test(`${source} (${by}) is known, built and tested`, async () => {
    const outcome = outcomeOf(source);
    if (existsSync(outcome)) return void process.stdout.write(`before: ${readFileSync(outcome, "utf8")}`);
    assert.ok(performance.now() - began < beginsWithinMs, "the time of this run is over: run the part again");
    const archive = await upstreamArchive(source);
    await copyFile(archive, join(farm.sources.directory, basename(archive)));
    const id = await farm.submit({ name: source, repository: farm.guestUrl(`/${basename(archive)}`) });
    const view = await farm.ended(id, 3600);
    const text = await farm.log(id);
    const done = view.operations.map((one) => `${one.name} ${one.status}`).join(", ");
    const line = `${source} (${by}): ${view.status}: ${done}\n`;
    process.stdout.write(line);
    assert.ok(view.status === "success" || view.status === "warning", `${done}\n${text.slice(-4000)}`);
    assert.deepEqual(
      view.operations.map(({ name }) => name),
      ["fetch", ...operations.split(" ")],
    );
    assert.match(text, log);
    mkdirSync(packageFile(".cache", "long", "languages"), { recursive: true });
    writeFileSync(outcome, line);
  });
