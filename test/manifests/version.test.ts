import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure, resultStatuses, worstStatus } from "../../manifests/result.ts";
import { guessRepositoryType } from "../../manifests/repository.ts";
import { isLocalRepository, splitInteractive } from "../../manifests/task.ts";
import { compareVersions, isStandardVersion, isVersion } from "../../manifests/version.ts";

test("versions are ordered as semver.org says, a pre-release before its release", () => {
  const ordered = [
    "1.0.0-",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
  ];
  ordered.push("1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0", "+2-0.1.0");
  for (const [index, a] of ordered.entries())
    for (const [other, b] of ordered.entries())
      assert.equal(compareVersions(a, b), Math.sign(index - other), `${a} ${b}`);
  assert.equal(compareVersions("1.0.0+a", "1.0.0+b"), 0);
});

test("what is no version is refused", () => {
  for (const text of ["", "1", "1.0", "01.0.0", "1.0.0-a..b", "1.0.0 ", "v1.0.0", "1.0.0+"])
    assert.equal(isVersion(text), false, text);
  assert.throws(() => compareVersions("1.0.0", "x"), { message: "no semantic version: 'x'" });
});

test("statuses from error on are failures, and the worst of two is the later", () => {
  assert.deepEqual(resultStatuses.filter(isFailure), ["error", "abort", "abnormal", "interrupt"]);
  assert.equal(worstStatus("warning", "success"), "warning");
  assert.equal(worstStatus("abort", "interrupt"), "interrupt");
});

test("a repository is local by its URL", () => {
  const local = [
    "/srv/x",
    "./x",
    "../x",
    "x",
    "x.git",
    "file:///srv/x",
    "FILE:/x",
    "git+file:///x",
    "C:\\x",
    "c:/x",
  ];
  const remote = [
    "https://h/x",
    "git://h/x",
    "ssh://h/x",
    "git@h:x.git",
    "git+ssh://h/x",
    "http://h/file:/x",
  ];
  for (const repositoryUrl of [...local, "-x", "--upload-pack=x"])
    assert.equal(isLocalRepository({ repositoryUrl }), true, repositoryUrl);
  for (const repositoryUrl of remote)
    assert.equal(isLocalRepository({ repositoryUrl }), false, repositoryUrl);
});

test("the type of a repository is guessed from its URL", () => {
  for (const [url, type] of [
    ["https://h/x.git", "git"],
    ["https://h/x#main@1234", "git"],
    ["git://h/x", "git"],
    ["ssh://h/x", "git"],
    ["git@h:x", "git"],
    ["https://h/1/stable", "pkg"],
    ["https://h/x.tar.gz", "pkg"],
    ["/srv/x", "dir"],
    ["/srv/x.git", "git"],
  ] as const)
    assert.equal(guessRepositoryType(url), type, url);
});

test("an interactive breakpoint may be followed by a login", () => {
  assert.deepEqual(splitInteractive("none"), { breakpoint: "none" });
  assert.deepEqual(splitInteractive("error a@b -p 1"), { breakpoint: "error", login: "a@b -p 1" });
});

test("a standard version is what controllers of all kinds take for a toolchain's", () => {
  for (const version of [
    "1.2.0",
    "0.1.0",
    "+2-1.2.3",
    "1.2.3-a.1",
    "1.2.3-b.499",
    "1.2.3-a.0.20260101",
    "1.2.3-a.1.z",
    "1.2.3-a.1.20260101.ab12",
    "1.2.3+4",
    "1.2.3-b.2+65535",
  ])
    assert.equal(isStandardVersion(version), true, version);
  for (const version of [
    "1.2",
    "1.2.0-rc.1",
    "1.2.3-a.0",
    "1.2.3-b.500",
    "1.2.3-alpha",
    "0.0.0",
    "0.0.0-a.1",
    "123456.0.0",
    "1.2.3-",
    "1.2.3-+4",
    "1.2.3-a.1.z.ab12",
    "1.2.3+65536",
    "+65536-1.2.3",
  ])
    assert.equal(isStandardVersion(version), false, version);
});
