import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { serveGit } from "../fixtures/services/git-server.ts";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { logOf, runGuest, shellsOf, statuses, underEach } from "./guest.ts";
import { git, packSource, script, serveSources, writeTree } from "./sources.ts";

const show = {
  ".croft/update": script('echo "$CROFT_COMMIT, $(git describe --tags 2>&1)"', "cat version"),
};

describe("fetching archives", () => {
  for (const [archive, few] of [
    ["hello-1.0.tar.gz", ["busybox", "dash"]],
    ["hello-1.0.tgz", ["dash"]],
    ["hello-1.0.tar.xz", ["busybox"]],
    ["hello-1.0.tar.bz2", ["dash"]],
    ["hello-1.0.zip", ["busybox"]],
  ] as const)
    for (const shell of shellsOf(...few))
      test(`${archive} under ${shell}`, async () => {
        await using sources = await serveSources();
        await packSource(sources, { ...show, version: "one\n" }, archive);
        const url = `${sources.url}/${archive}`;
        const { result } = await runGuest({ shell, task: { "repository-url": url } });
        assert.equal(result.status, "success");
        assert.match(logOf(result, "update"), /one$/);
      });

  test("an archive is used only if it has one of the trusted checksums; what is not looked at is said", async () => {
    await using sources = await serveSources();
    await packSource(sources, { ...show, version: "one\n" });
    const digest = createHash("sha256")
      .update(await readFile(join(sources.directory, "hello-1.0.tar.gz")))
      .digest("hex");
    const fingerprint = digest.toUpperCase().replace(/..(?!$)/g, "$&:");
    const other = fingerprint.replace(/^../, digest.startsWith("00") ? "01" : "00");
    const head = `: 1\nname: hello\nversion: 1.0\nmachine: m\ntarget: t\nrepository-url: ${sources.url}\n`;
    const good = await runGuest({
      shell: "dash",
      task: `${head}trust: yes\ntrust: ${other}\ntrust: ${fingerprint}\nrequires: c++17\nhost: true\n`,
    });
    assert.equal(good.result.status, "success");
    assert.match(
      logOf(good.result, "fetch"),
      /requires is not looked at: c\+\+17\n.*'host' makes no difference/,
    );
    const bad = await runGuest({ shell: "dash", task: `${head}trust: ${other}\n` });
    assert.deepEqual(statuses(bad.result), ["fetch error"]);
    assert.match(logOf(bad.result, "fetch"), /checksum differs/);
  });

  test("an archive that is not there is an error of the fetch", async () => {
    await using sources = await serveSources();
    for (const shell of shellsOf("busybox")) {
      const { result } = await runGuest({ shell, task: { version: "2.0", "repository-url": sources.url } });
      assert.deepEqual(statuses(result), ["fetch error"]);
      assert.match(logOf(result, "fetch"), /hello-2\.0\.tar\.gz[^]*404/);
    }
  });

  test("an archive without a directory of its own is the source as a whole, hidden files too", async () => {
    for (const shell of shellsOf("busybox")) {
      await using sources = await serveSources();
      await using tree = await temporaryDirectory("croft-test-tree-");
      const archive = join(sources.directory, "flat.tar.gz");
      const pack = () => run(["tar", "-czf", archive, "-C", tree.path, "."], { timeoutSeconds: 300 });
      const update = async () => {
        await pack();
        const { result } = await runGuest({
          shell,
          task: { "repository-url": `${sources.url}/flat.tar.gz` },
        });
        return logOf(result, "update");
      };
      await writeTree(tree.path, { ".croft/update": script("cat src/text"), "src/text": "flat\n" });
      assert.match(await update(), /flat$/);
      // One directory, and what macOS puts beside it.
      await rm(join(tree.path, ".croft"), { recursive: true });
      await writeTree(tree.path, { "._src": "x", "src/.croft/update": script("cat text") });
      assert.match(await update(), /flat$/);
    }
  });

  test("git that is not installed is said so", async () => {
    const { result } = await runGuest({
      shell: "busybox",
      task: { "repository-url": "http://127.0.0.1:9/x.git" },
    });
    assert.deepEqual(statuses(result), ["fetch error"]);
    assert.match(logOf(result, "fetch"), /git is not installed/);
  });
});

/** A repository with tags `v1.0` and `2.0`, a branch `topic`, and commits between; the content tells which is which. */
async function makeRepository(directory: string): Promise<Record<string, string>> {
  const work = join(directory, "work");
  const commits: Record<string, string> = {};
  await writeTree(work, { ...show, ".croft/test": script("[ ! -x /opt/again ] || exec /opt/again") });
  await git(work, "init", "--quiet");
  for (const version of ["one", "between", "two", "newest"]) {
    await writeTree(work, { version: `${version}\n` });
    await git(work, "add", "--all");
    await git(work, "commit", "--quiet", "--message", version);
    commits[version] = await git(work, "rev-parse", "HEAD");
    if (version === "one") await git(work, "tag", "v1.0");
    if (version === "two") await git(work, "tag", "-a", "-m", "two", "2.0");
    if (version === "one") await git(work, "tag", "release@42");
    if (version === "between") await git(work, "branch", "topic");
  }
  await git(directory, "clone", "--quiet", "--bare", "work", "hello.git");
  await git(join(directory, "hello.git"), "update-server-info");
  return commits;
}

/** What came of a fetch. */
interface Fetched {
  status: string;
  log: string;
  /** What the source's operation {@link show} prints. */
  built: string;
  version: string;
}

/**
 * Fetches several times in one machine, as starting one takes ten times what git does: first as the task says; then a
 * script that the source starts has the worker perform the operation again, with another URL and version each time.
 */
async function fetchAll(asked: readonly (readonly [url: string, version: string])[]): Promise<Fetched[]> {
  const [url, version] = asked[0]!;
  const again = [
    "again() {",
    "  cd / && rm -rf /var/lib/croft/work /run/croft/version",
    '  printf %s "$1" > /run/croft/task/repository-url && printf %s "$2" > /run/croft/task/version',
    '  status=success found=$2 && echo "=fetch"',
    "  /usr/lib/croft/croft-worker operation fetch 7> /dev/null || status=error",
    '  echo "=built"',
    "  ! cd /var/lib/croft/work/source || CROFT_COMMIT=$(git rev-parse HEAD) .croft/update",
    '  [ "$2" != 0 ] || found=$(cat /run/croft/version || echo 0)',
    '  echo "=end $status $found"',
    "}",
    ...asked.slice(1).map((each) => `again '${each[0]}' '${each[1]}'`),
    // Whoever goes on with the task finds a source.
    `again '${url}' '${version}'`,
  ];
  const { result } = await runGuest({
    ...{ shell: "dash", task: { version, "repository-url": url } },
    files: { "/opt/again": `#!/bin/sh\nexec 2>&1\n${again.join("\n")}\n` },
  });
  const first = { status: result.status, log: logOf(result, "fetch"), version: result.version };
  const found = logOf(result, "test").matchAll(/^=fetch\n([^]*?)^=built\n([^]*?)^=end (\w+) (.*)$/gm);
  const others = [...found].map(([, log, built, status, version]) => ({ status, log, built, version }));
  return [{ ...first, built: logOf(result, "update") }, ...(others as Fetched[])];
}

describe("fetching from git", () => {
  for (const kind of ["smart", "dumb"] as const)
    test(`by fragment, by version and by default, from a ${kind} server`, async () => {
      await using directory = await temporaryDirectory("croft-test-git-");
      const commits = await makeRepository(directory.path);
      await using smart = await serveGit(directory.path);
      await using dumb = await serveSources();
      await cp(join(directory.path, "hello.git"), join(dumb.directory, "hello.git"), { recursive: true });
      const url = kind === "smart" ? smart.url("hello.git") : `${dumb.url}/hello.git`;
      type Case = [fragment: string, version: string, content: string, resolved: string];
      const short = (name: string, digits: number) => commits[name]!.slice(0, digits);
      const cases: Case[] = [
        ["", "1.0", "one", "1.0"],
        [`#${commits["two"]}`, "3.0", "two", "3.0"],
      ];
      const ofSmart: Case[] = [
        ["", "2.0", "two", "2.0"],
        ["#topic", "0", "between", "0"],
        [`#main@${short("one", 10)}`, "0", "one", "0"],
        [`#${short("between", 7)}`, "0", "between", "0"],
        ["#release@42", "0", "one", "0"],
      ];
      const more: Case[] = [
        ["#v1.0", "0", "one", "1.0"],
        [`#main@${commits["between"]}`, "0", "between", "0"],
      ];
      if (kind === "smart" || underEach) cases.push(["", "0", "newest", "0"]);
      if (kind === "smart") cases.push(...ofSmart);
      if (underEach) cases.push(...(kind === "smart" ? more : more.slice(1)));
      if (underEach && kind === "smart") cases.push([`#topic@${short("one", 7)}`, "0", "one", "0"]);
      const fetched = await fetchAll(cases.map(([fragment, version]) => [url + fragment, version]));
      for (const [index, [fragment, version, content, resolved]] of cases.entries()) {
        const { status, log, built, version: found } = fetched[index]!;
        assert.equal(status, "success", `${fragment} ${version}: ${log}`);
        assert.match(built, new RegExp(`^${commits[content]}, .*\\n${content}$`, "m"));
        assert.ok(log.includes(`==> commit: ${commits[content]}\n==> author: Tester <`), log);
        if (content === "one") assert.match(built, /, (v1\.0|release@42)\n/, log);
        assert.equal(found, resolved);
      }
    });

  test("a version without a tag, a commit that is not there, and a server that is not there are errors", async () => {
    await using directory = await temporaryDirectory("croft-test-git-");
    await makeRepository(directory.path);
    await using server = await serveGit(directory.path);
    const url = server.url("hello.git");
    const cases = [
      ["", "9.9", /neither tag v9\.9 nor 9\.9/],
      [`#main@${"0".repeat(40)}`, "0", /0{40}/],
      ["#no-such-branch", "0", /no-such-branch/],
      ["#0123456", "0", /no commit, branch or tag '0123456'/],
    ] as const;
    const [first, ...others] = cases;
    const { result } = await runGuest({
      shell: "dash",
      task: { version: first[1], "repository-url": url + first[0] },
    });
    assert.deepEqual(statuses(result), ["fetch error"]);
    assert.match(logOf(result, "fetch"), first[2]);
    const asked = others.map(([fragment, version]) => [url + fragment, version] as const);
    const [good, ...bad] = await fetchAll([[url, "1.0"], ...asked]);
    assert.equal(good!.status, "success");
    for (const [index, [fragment, , message]] of others.entries()) {
      assert.equal(bad[index]!.status, "error", fragment);
      assert.match(bad[index]!.log, message);
    }
  });

  test("a commit behind a branch is found where the server gives out no commits by name", async () => {
    await using directory = await temporaryDirectory("croft-test-git-");
    const commits = await makeRepository(directory.path);
    const bare = join(directory.path, "hello.git");
    await git(bare, "tag", "--delete", "v1.0", "2.0", "release@42");
    await git(bare, "branch", "--quiet", "-D", "topic");
    await using server = await serveGit(directory.path);
    const { result } = await runGuest({
      shell: "dash",
      setup: "git config --system protocol.version 0",
      task: { "repository-url": server.url(`hello.git#main@${commits["one"]}`) },
    });
    assert.match(logOf(result, "update"), /one$/);
  });

  test("CROFT_GIT_DEPTH brings history and tags", async () => {
    await using directory = await temporaryDirectory("croft-test-git-");
    await makeRepository(directory.path);
    await using server = await serveGit(directory.path);
    const task = { "repository-url": server.url("hello.git#main") };
    for (const [depth, described] of [
      ["0", /, 2\.0-1-g[0-9a-f]+\nnewest$/],
      ["2", /, 2\.0-1-g[0-9a-f]+\nnewest$/],
      [undefined, /, 2\.0-1-g[0-9a-f]+\nnewest$/],
    ] as const) {
      // That of the submission counts before the machine's.
      const setup = `mkdir -p /etc/croft; echo 'export CROFT_GIT_DEPTH=${depth ?? "1"}' > /etc/croft/worker.conf`;
      const own = depth === undefined ? { "variable-CROFT_GIT_DEPTH": "2" } : {};
      const { result } = await runGuest({ shell: "dash", setup, task: { ...task, ...own } });
      assert.match(logOf(result, "update"), described, logOf(result, "fetch"));
    }
  });

  test("a repository that names its commits by SHA-256 is fetched by branch, by version and by part of a commit", async () => {
    await using directory = await temporaryDirectory("croft-test-git-");
    await using server = await serveGit(directory.path);
    const work = join(directory.path, "work");
    await writeTree(work, {
      ".croft/update": script('echo "is $(git rev-parse HEAD), $(git describe --tags)"'),
    });
    await git(work, "init", "--quiet", "--object-format=sha256");
    await git(work, "add", "--all");
    await git(work, "commit", "--quiet", "--message", "one");
    await git(work, "tag", "v1.0");
    const commit = await git(work, "rev-parse", "HEAD");
    assert.equal(commit.length, 64);
    const cases = [
      ["", "1.0"],
      [`#${commit.slice(0, 9)}`, "0"],
      ["#main", "0"],
      [`#${commit}`, "0"],
    ] as const;
    for (const [fragment, version] of cases.slice(0, underEach ? undefined : 2)) {
      const task = { "repository-url": server.url("work/.git") + fragment, version };
      const { result } = await runGuest({ shell: "dash", task });
      assert.match(logOf(result, "update"), new RegExp(`is ${commit}, v1.0`), logOf(result, "fetch"));
    }
  });

  test("files in Git LFS are told to be pointers where the machine has no git-lfs", async () => {
    await using directory = await temporaryDirectory("croft-test-git-");
    await using server = await serveGit(directory.path);
    const work = join(directory.path, "work");
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 5\n`;
    await git(directory.path, "init", "--quiet", "work");
    await writeTree(work, { ".croft/update": script("head -n 1 big.bin"), "big.bin": pointer });
    await git(work, "add", "--all");
    await writeTree(work, { ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n" });
    await git(work, "add", ".gitattributes");
    await git(work, "commit", "--quiet", "--message", "one");
    const { result } = await runGuest({
      shell: "dash",
      // Whether this host has it or not, it is not there.
      setup: "rm -f /usr/bin/git-lfs /usr/local/bin/git-lfs",
      task: { "repository-url": server.url("work/.git") },
    });
    assert.match(logOf(result, "fetch"), /files in Git LFS are left as pointers: git-lfs is not installed/);
    assert.match(logOf(result, "update"), /^version https:\/\/git-lfs/m);
  });

  test("submodules come along", async () => {
    await using directory = await temporaryDirectory("croft-test-git-");
    await makeRepository(directory.path);
    await using server = await serveGit(directory.path);
    const outer = join(directory.path, "outer");
    await writeTree(outer, { ".croft/update": script("cat part/version") });
    await git(outer, "init", "--quiet");
    await git(outer, "submodule", "--quiet", "add", server.url("hello.git"), "part");
    await git(outer, "add", "--all");
    await git(outer, "commit", "--quiet", "--message", "outer");
    const { result } = await runGuest({
      shell: "dash",
      task: { "repository-url": server.url("outer/.git") },
    });
    assert.match(logOf(result, "update"), /newest$/);
  });
});
