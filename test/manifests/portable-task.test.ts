/** What agents of other makes can read: each line was tried on build2's libbpkg and libbutl. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { portabilityProblem } from "../../manifests/portable-task.ts";
import { guessRepositoryType } from "../../manifests/repository.ts";
import { parseTask, type Task } from "../../manifests/task.ts";

const usual = parseTask(
  Buffer.from(
    ": 1\nname: hello\nversion: 1.0\nrepository-url: https://example.org/hello.git\n" +
      "machine: debian_12\ntarget: x86_64-linux-gnu\n",
  ),
);

function readable(changes: Partial<Task>): boolean {
  return portabilityProblem({ ...usual, ...changes }) === undefined;
}

/** Each value with whether others can read it. */
function check(values: Record<string, boolean>, changes: (value: string) => Partial<Task>): void {
  for (const [value, expected] of Object.entries(values))
    assert.equal(readable(changes(value)), expected, value);
}

test("other agents read names of two or more characters that are none of a device", () => {
  const good = { hello: true, ab: true, "libc++": true, "a.b-c_d1": true, COM1: true, com10: true };
  const bad = {
    r: false,
    "7zip": false,
    "a-": false,
    _a: false,
    "a~b": false,
    build: false,
    nul: false,
    com1: false,
  };
  check({ ...good, ...bad, größe: false }, (name) => ({ name }));
});

test("other agents read versions of components and numbers, and none that stands for no version", () => {
  const good = {
    "1.0": true,
    "2024.01.02": true,
    v1: true,
    "1.0-rc1": true,
    "1.0-": true,
    "+2-1.0+3": true,
    "0-a": true,
  };
  const bad = {
    "0": false,
    "0.0": false,
    "0+1": false,
    "1.0~rc1": false,
    "1:1.0": false,
    "1_0": false,
    "1..0": false,
  };
  const large = { "+65536-1": false, "1+65536": false, "1.0-+1": false, "1.0+git": false, "+0-0-": false };
  const long = { ["1".repeat(16)]: true, ["1".repeat(17)]: false };
  check({ ...good, ...bad, ...large, ...long }, (version) => ({ version }));
});

test("other agents read URLs with a scheme, of git repositories and of packages", () => {
  const git = {
    "https://example.org/hello.git": true,
    "https://example.org/hello.git#v1.0": true,
    [`https://example.org/hello.git#main@${"a".repeat(40)}`]: true,
    "ssh://git@example.org:2222/hello.git": true,
    "git://[::1]/hello.git": true,
    "git@example.org:hello.git": false,
    "git+https://example.org/hello": false,
    "https://example.org/hello.git#main@abc1234": false,
    "https://example.org/hello.git#": false,
    "https://example.org/a/../../hello.git": false,
    "https://example.org//hello.git": false,
    "https://example.org:0/hello.git": false,
    "https://exämple.org/hello.git": false,
    "https://git./hello.git": false,
  };
  check(git, (repositoryUrl) => ({ repositoryUrl, repositoryType: "git" }));
  const packages = {
    "https://pkg.example.org/1/stable": true,
    "https://example.org/hello-1.0.tar.gz": false,
    "https://example.org/2/stable": false,
    "https://example.org/1/stable#x": false,
    "ssh://example.org/1/stable": false,
  };
  check(packages, (repositoryUrl) => ({ repositoryUrl, repositoryType: "pkg" }));
  const guessed = { "https://github.com/a/b": false, "https://github.com/a/b.git": true, "ssh://h/b": true };
  check(guessed, (url) => ({ repositoryUrl: url, repositoryType: guessRepositoryType(url) }));
  assert.equal(
    readable({ repositoryUrl: "https://example.org/%2e%2e/hello.git" }),
    false,
    "'..' in other words",
  );
  assert.equal(readable({ repositoryType: "dir" }), false);
});

test("other agents read triplets, and regular expressions that are old enough", () => {
  const targets = {
    "aarch64-linux-musl": true,
    "x86_64-w64-mingw32": true,
    linux: false,
    "a-b-c-d-e": false,
    "x86_64-": false,
  };
  check(targets, (target) => ({ target }));
  const expressions = {
    "deprecated:": true,
    "[Ww]arning(?!s)": true,
    "\\[-Wall\\]": true,
    "^[[:space:]]+\\-x": true,
    "(?<=a)b": false,
    "(?<name>a)": false,
    "a{": false,
    "(": false,
    "[[:nothing:]]": false,
  };
  check(expressions, (expression) => ({ warningRegex: ["fine", expression] }));
});
