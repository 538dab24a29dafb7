/** Repositories of all kinds, built by croft's own worker on this machine: what arrives there is what was asked for. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { git } from "../fixtures/source-history.ts";
import { runBoss, type BossEvent } from "./running-boss.ts";

/** Prints the files of the source, with their content. */
const configuration = `recipe:\n  build: "grep -r '' --include=*.txt . | sort"\ntargets: {t: }\n`;

interface Place {
  directory: string;
  output: string;
  build(source: string, ...more: string[]): ReturnType<typeof runBoss>;
}

async function inPlace(use: (place: Place) => Promise<void>): Promise<void> {
  await using own = await temporaryDirectory("croft-test-sources-");
  const directory = own.path;
  mkdirSync(join(directory, "desk"));
  const config = join(directory, "croft.yaml");
  writeFileSync(config, configuration);
  const output = join(directory, "results");
  const desk = {
    directory,
    hosts: new Map(),
    env: { ...process.env, PATH: `${join(directory, "bin")}:${process.env["PATH"]}` },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const options = ["--config", config, "--json", "--output", output, "--work-dir", join(directory, "work")];
  const build = (source: string, ...more: string[]) => runBoss(["build", ...options, ...more], desk, source);
  await use({ directory, output, build });
}

function commit(source: string, name: string, text: string): string {
  writeFileSync(join(source, name), text);
  git(source, ["add", "--all"]);
  git(source, ["commit", "--quiet", `--message=${name}: ${text}`]);
  return git(source, ["rev-parse", "HEAD"]).trim();
}

const built = (events: readonly BossEvent[]) =>
  events.filter(({ event }) => event === "result").map(({ commit: hash }) => hash);

/** What the build of a commit has printed. */
function printed(output: string, hash: string): string {
  return readFileSync(join(output, resultOf(output, hash), "t", "log"), "utf8");
}

const resultOf = (output: string, hash: string) => readdirSync(output).find((name) => name.includes(hash))!;

test("a shallow clone is built, and then the history that it lacked, in the same place", async () => {
  await inPlace(async ({ directory, output, build }) => {
    const [source, clone] = [join(directory, "project"), join(directory, "clone")];
    git(directory, ["init", "--quiet", "--initial-branch=main", source]);
    const hashes = ["a", "b", "c", "d"].map((text) => commit(source, "x.txt", text));
    git(directory, ["clone", "--quiet", "--depth=2", `file://${source}`, clone]);
    const shallow = await build(clone, "--count", "2");
    assert.equal(shallow.status, 0, shallow.stderr);
    assert.deepEqual(built(shallow.boss.events), hashes.slice(2));
    const whole = await build(source, "--count", "4");
    assert.equal(whole.status, 0, whole.stderr);
    assert.deepEqual(built(whole.boss.events), hashes.slice(0, 2));
    assert.match(printed(output, hashes[0]!), /^\.\/x\.txt:a$/m);
  });
});

/** Takes an object out of a repository. */
function lose(source: string, name: string): void {
  const hash = git(source, ["rev-parse", name]).trim();
  rmSync(join(source, ".git/objects", hash.slice(0, 2), hash.slice(2)));
}

test("of a history that lacks objects the commits that are whole are built, and one that is not is named", async () => {
  await inPlace(async ({ directory, output, build }) => {
    const [source, library] = [join(directory, "project"), join(directory, "library")];
    git(directory, ["init", "--quiet", library]);
    commit(library, "lib.txt", "of the submodule");
    git(directory, ["init", "--quiet", source]);
    git(source, ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", library, "library"]);
    const hashes = ["a", "b", "c", "d", "e"].map((text) => commit(source, "x.txt", text));
    lose(source, `${hashes[0]}:x.txt`);
    // One between those that are built, too.
    lose(source, `${hashes[2]}:x.txt`);
    const some = await build(source, "--count", "4", "--step", "3");
    assert.equal(some.status, 0, some.stdout + some.stderr);
    assert.deepEqual(built(some.boss.events), [hashes[1], hashes[4]]);
    assert.equal(printed(output, hashes[4]!), "./library/lib.txt:of the submodule\n./x.txt:e\n");
    const lacking = await build(source, "--count", "3");
    assert.equal(lacking.status, 2);
    const named = `Cannot build commit ${hashes[2]!.slice(0, 12)}: its file 'x\\.txt' \\(\\w+\\) is not in `;
    assert.match(lacking.stderr, new RegExp(`^croft: ${named}`, "m"));
    assert.match(lacking.stderr, /git fetch --refetch/);
  });
});

test("a SHA-256 repository is built; a work directory of the other kind is refused in one line", async () => {
  await inPlace(async ({ directory, output, build }) => {
    const source = join(directory, "project");
    git(directory, ["init", "--quiet", "--object-format=sha256", source]);
    const hashes = ["a", "b"].map((text) => commit(source, "x.txt", text));
    const first = await build(source, "--count", "2");
    assert.equal(first.status, 0, first.stderr);
    assert.deepEqual(built(first.boss.events), hashes);
    assert.match(printed(output, hashes[1]!), /^\.\/x\.txt:b$/m);
    const other = join(directory, "of-the-same-name", "project");
    git(directory, ["init", "--quiet", other]);
    commit(other, "x.txt", "c");
    const refused = await build(other, "--count", "1");
    assert.equal(refused.status, 2);
    assert.match(
      refused.boss.summary.absent[0]!.reason,
      /is a repository of sha256, and the source one of sha1: move it away/,
    );
  });
});

test("what failed for want of a program is built again once it is there, other failures when it is asked for", async () => {
  await inPlace(async ({ directory, output, build }) => {
    const source = join(directory, "project");
    git(directory, ["init", "--quiet", source]);
    commit(source, "x.txt", "a");
    const hash = commit(source, "broken", "croft-test-tool || exit 1; exec false");
    writeFileSync(
      join(directory, "croft.yaml"),
      'recipe: {build: "! [ -e broken ] || . ./broken"}\ntargets: {t: }\n',
    );
    const first = await build(source, "--count", "2");
    assert.equal(first.status, 2, first.stderr);
    const said = () => readFileSync(join(output, resultOf(output, hash), "t", "err"), "utf8");
    assert.match(said(), /croft-test-tool: not found/);
    mkdirSync(join(directory, "bin"));
    writeFileSync(join(directory, "bin", "croft-test-tool"), "#!/bin/sh\necho it is there >&2\n", {
      mode: 0o755,
    });
    const second = await build(source, "--count", "2");
    assert.deepEqual(built(second.boss.events), [hash]);
    assert.equal(said(), "it is there\n");
    assert.deepEqual(built((await build(source, "--count", "2")).boss.events), []);
    assert.deepEqual(built((await build(source, "--count", "2", "-F")).boss.events), [hash]);
  });
});
