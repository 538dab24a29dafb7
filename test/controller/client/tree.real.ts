/** What `croft submit DIRECTORY` sends of a directory, without a controller: which files, under which name, as which bytes. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdir, open, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { list } from "tar";
import { connect } from "../../../controller/client/connection.ts";
import { makeHistory } from "../../../controller/client/tree/history.ts";
import { packTree } from "../../../controller/client/tree/pack.ts";
import { submitTree } from "../../../controller/client/tree/submit.ts";
import { findSource, type TreeSource } from "../../../controller/client/tree/source.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";

const silent = { tell: () => {} };

async function git(directory: string, ...args: string[]): Promise<string> {
  const options = ["-c", "user.name=ann", "-c", "user.email=ann@x.org", "-c", "protocol.file.allow=always"];
  return (await run(["git", "-C", directory, ...options, ...args], { timeoutSeconds: 60 })).stdout.trim();
}

async function write(directory: string, files: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), text);
  }
}

/** A repository with a commit of these files. */
async function makeRepository(directory: string, files: Record<string, string>): Promise<string> {
  await mkdir(directory, { recursive: true });
  await git(directory, "init", "--quiet");
  await write(directory, files);
  await git(directory, "add", "--all", "--force");
  await git(directory, "commit", "--quiet", "--message", "one");
  return await git(directory, "rev-parse", "HEAD");
}

async function pack({ directory, paths, commit }: TreeSource, file: string): Promise<string> {
  const bytes = await packTree(directory, paths, { file, time: commit?.time }, silent);
  const content = await readFile(file);
  assert.equal(content.length, bytes);
  return createHash("sha256").update(content).digest("hex");
}

test("git says what is sent: changed and new files, those of submodules, and neither what it ignores nor what is gone", async () => {
  await using directory = await temporaryDirectory("croft-test-tree-");
  const at = (...names: string[]) => join(directory.path, ...names);
  await makeRepository(at("library"), { "lib.c": "", ".gitignore": "*.o\n" });
  await makeRepository(at("work"), {
    "a.c": "a",
    "gone.c": "",
    "@at": "",
    "was/there": "",
    ".gitignore": "*.o\n/out/\n/was\n",
  });
  await git(at("work"), "submodule", "--quiet", "add", at("library"), "sub");
  await git(at("work"), "commit", "--quiet", "--message", "two");
  await git(at("work"), "remote", "add", "origin", "https://ann:pass@git.example.org/team/the_name.git");
  const commit = await git(at("work"), "rev-parse", "HEAD");
  const unchanged = await findSource(at("work"), silent);
  assert.deepEqual([unchanged.commit?.id, unchanged.commit?.isChanged], [commit, false]);
  await rm(at("work", "gone.c"));
  await write(at("work"), {
    "a.c": "b",
    "a.o": "",
    "out/x": "",
    "ü b\n.c": "",
    "sub/lib.o": "",
    "sub/new.c": "",
  });
  await symlink("../library", at("work", "up"));
  await rm(at("work", "was"), { recursive: true });
  await write(at("elsewhere"), { there: "secret" });
  await symlink("../elsewhere", at("work", "was"));
  await symlink("/etc/hostname", at("work", "away"));
  await symlink("../a.c", at("work", "sub", "own"));
  await run(["mkfifo", at("work", "pipe")], { timeoutSeconds: 60 });
  const { name, paths, remarks, commit: found } = await findSource(at("work"), silent);
  assert.equal(name, "the_name");
  assert.deepEqual([found?.id, found?.isChanged], [commit, true]);
  assert.deepEqual(paths, [
    ...[".gitignore", ".gitmodules", "@at", "a.c", "away"],
    ...["sub/.gitignore", "sub/lib.c", "sub/new.c", "sub/own", "up", "ü b\n.c"],
  ]);
  assert.match(remarks.join("\n"), /^symbolic links that lead out of the directory .*: away, up$/m);
  const part = await findSource(at("work", "sub"), silent);
  assert.equal(part.paths.length, 4);
  await rm(at("work", "sub"), { recursive: true });
  await mkdir(at("work", "sub"));
  assert.match(
    (await findSource(at("work"), silent)).remarks.join("\n"),
    /submodules are not checked out: sub$/m,
  );

  assert.match((await findSource(at("library"), silent)).name ?? "", /^library$/);
});

test("the same files are the same bytes, whoever has them and since when; the execute bit and links are kept", async () => {
  await using directory = await temporaryDirectory("croft-test-tree-");
  const at = (...names: string[]) => join(directory.path, ...names);
  await makeRepository(at("one"), { "b/run": "#!/bin/sh\n", "a.c": "int a;\n" });
  await chmod(at("one", "b", "run"), 0o755);
  await symlink("a.c", at("one", "link"));
  await run(["cp", "-a", at("one"), at("other")], { timeoutSeconds: 60 });
  await utimes(at("other", "a.c"), 1, 1);
  await chmod(at("other", "a.c"), 0o664);
  await chmod(at("other", "b", "run"), 0o775);
  const [one, other] = [await findSource(at("one"), silent), await findSource(at("other"), silent)];
  assert.equal(await pack(one, at("one.tar.gz")), await pack(other, at("other.tar.gz")));
  const entries: unknown[] = [];
  await list({
    file: at("one.tar.gz"),
    onReadEntry: ({ path, type, mode = 0, linkpath, mtime }) => {
      assert.equal(mtime?.getTime(), one.commit!.time.getTime());
      entries.push([path, type, (mode & 0o111) !== 0 && type === "File", linkpath]);
    },
  });
  assert.deepEqual(entries, [
    ["./a.c", "File", false, undefined],
    ["./b/run", "File", true, undefined],
    ["./link", "SymbolicLink", false, "a.c"],
  ]);
  await writeFile(at("other", "a.c"), "int b;\n");
  await rm(at("other.tar.gz"));
  assert.notEqual(await pack(other, at("other.tar.gz")), await pack(one, at("again.tar.gz")));
});

test("without git all of a directory is sent, up to a limit; what git would not say is not sent for that", async () => {
  await using directory = await temporaryDirectory("croft-test-tree-");
  const at = (...names: string[]) => join(directory.path, ...names);
  await write(at("My package!"), { "a/b.c": "", ".hidden": "", "c.c": "" });
  await run(["mkfifo", at("My package!", "pipe")], { timeoutSeconds: 60 });
  const { name, paths, commit, remarks } = await findSource(at("My package!"), silent);
  assert.deepEqual([name, paths, commit], ["My-package", [".hidden", "a/b.c", "c.c"], undefined]);
  assert.match(remarks.join("\n"), /^left out, as they are neither files nor links: pipe$/m);

  await write(at("My package!"), { ".git": "nonsense", ".gitignore": "secret\n", secret: "x" });
  await assert.rejects(findSource(at("My package!"), silent), /Cannot ask git what is in '.*My package!'/);
  await assert.rejects(findSource(at("nowhere"), silent), /ENOENT|no such file/);
  await mkdir(at("empty"));
  await assert.rejects(findSource(at("empty"), silent), /there is no file in it/);
});

test("what is too much is refused before it is packed, and says what makes it so", async () => {
  await using directory = await temporaryDirectory("croft-test-tree-");
  const at = (...names: string[]) => join(directory.path, ...names);
  const large = async (path: string, bytes: number) => {
    await using file = await open(path, "w");
    await file.truncate(bytes);
  };
  await makeRepository(at("work"), { "a.c": "" });
  await large(at("work", "image.iso"), 3 * 2 ** 30);
  await assert.rejects(findSource(at("work"), silent), (error: Error & { hints: string[] }) => {
    assert.match(error.message, /^Cannot submit '.*work': there is more than 2\.0 GiB in it$/);
    assert.match(error.hints.join("\n"), /The largest: image\.iso \(3\.0 GiB\)/);
    return true;
  });
  await mkdir(at("home"));
  await large(at("home", "film"), 300 * 2 ** 20);
  await assert.rejects(findSource(at("home"), silent), /there is more than 256 MiB in it/);
});

test("git says in the machine what it says here, and is told neither of configuration nor of other branches", async () => {
  await using directory = await temporaryDirectory("croft-test-tree-");
  const at = (...names: string[]) => join(directory.path, ...names);
  await makeRepository(at("work"), { "a.c": "a", "b.c": "b" });
  await git(at("work"), "tag", "--annotate", "--message", "x", "v1.0");
  await git(at("work"), "remote", "add", "origin", "https://ann:pass@git.example.org/team/hello.git");
  await git(at("work"), "checkout", "--quiet", "-b", "other");
  await write(at("work"), { secret: "of another branch" });
  await git(at("work"), "add", "--all");
  await git(at("work"), "commit", "--quiet", "--message", "not this one");
  const other = await git(at("work"), "rev-parse", "HEAD");
  await git(at("work"), "checkout", "--quiet", "-b", "more", "v1.0");
  await write(at("work"), { "a.c": "aa" });
  await git(at("work"), "commit", "--quiet", "--all", "--message", "two");
  const commit = await git(at("work"), "rev-parse", "HEAD");

  const packed = async (name: string) => {
    const source = await findSource(at("work"), silent);
    await mkdir(at(name));
    const beside = { directory: at(name), ...(await makeHistory(at("work"), commit, at(name))) };
    await packTree(
      source.directory,
      source.paths,
      { file: at(`${name}.tar.gz`), time: source.commit!.time, beside },
      silent,
    );
    return await readFile(at(`${name}.tar.gz`));
  };
  const first = await packed("first");
  await git(at("work"), "gc", "--quiet", "--aggressive");
  assert.ok(first.equals(await packed("second")), "other bytes of the same commit");

  await mkdir(at("there"));
  await run(["tar", "-C", at("there"), "-xzf", at("first.tar.gz")], { timeoutSeconds: 60 });
  assert.equal(await git(at("there"), "rev-parse", "HEAD"), commit);
  assert.equal(await git(at("there"), "status", "--porcelain"), "");
  assert.match(await git(at("there"), "describe", "--dirty"), /^v1\.0-1-g[0-9a-f]+$/);
  assert.equal(await git(at("there"), "log", "--format=%s"), "two\none");
  await write(at("there"), { "a.c": "other", new: "" });
  assert.match(await git(at("there"), "describe", "--dirty"), /-dirty$/);
  assert.equal(await git(at("there"), "diff", "--name-only"), "a.c");
  assert.equal(await git(at("there"), "status", "--porcelain"), "M a.c\n?? new");
  await assert.rejects(git(at("there"), "cat-file", "-e", other));
  assert.doesNotMatch(await readFile(at("there", ".git", "config"), "utf8"), /example|pass/);

  // Of a clone that has not all of the history, git finds as much as there
  const parts = [
    "clone",
    "--quiet",
    "--depth",
    "1",
    "--branch",
    "more",
    `file://${at("work")}`,
    at("shallow"),
  ];
  await git(directory.path, ...parts);
  await mkdir(at("third"));
  await makeHistory(at("shallow"), commit, at("third"));
  assert.equal(await git(at("third"), "log", "--format=%s"), "two");
});

test("a refusal is told, however little of the tree was read, and so is a controller that takes none", async () => {
  await using directory = await temporaryDirectory("croft-test-tree-");
  await writeFile(join(directory.path, "noise"), randomBytes(8 << 20));
  for (const [status, reason] of [
    [401, /Cannot take it: who are you/],
    [404, /the controller is of an earlier version, which takes no working trees/],
  ] as const) {
    const server = createServer((_, response) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end('{"error":"Cannot take it: who are you","hints":[]}');
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const connection = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, "token");
    try {
      await assert.rejects(submitTree(connection, directory.path, { name: "noise" }), reason);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  }
});
