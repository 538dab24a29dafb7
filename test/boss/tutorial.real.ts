/** The tutorial of docs/boss.md, line by line, on two hosts. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { packageFile } from "../../os/files/package.ts";
import { patienceMs } from "../fixtures/patience.ts";
import { tutorialScript } from "./tutorial.ts";
import { startHosts } from "./ssh-hosts.ts";

test("the tutorial's commands do what it says", async () => {
  await using hosts = await startHosts(["alpha", "beta"]);
  const bin = join(hosts.directory, "bin");
  symlinkSync(packageFile("bin", "croft"), join(bin, "croft"));
  const desk = join(hosts.directory, "desk");
  mkdirSync(desk);
  const script = tutorialScript();
  assert.match(script, /croft boss build --count 3/);
  const author = { GIT_AUTHOR_NAME: "A", GIT_AUTHOR_EMAIL: "a@example.org" };
  const committer = { GIT_COMMITTER_NAME: "A", GIT_COMMITTER_EMAIL: "a@example.org" };
  const { stdout, stderr } = spawnSync("sh", ["-c", script], {
    cwd: desk,
    env: { ...hosts.env, ...author, ...committer, HOME: desk, XDG_STATE_HOME: "" },
    encoding: "utf8",
    timeout: patienceMs,
  });
  const said = `${stdout}${stderr}`;
  assert.match(stderr, /Starting workers 1\/3: /); // a fast one may have built all before the others are there
  assert.match(stdout, /^alpha +\S+ +\d+ .* idle$/m, said);
  assert.match(
    stdout,
    /01: [0-9a-f]{12} Return 0\n02: [0-9a-f]{12} Return 1\n {4}w debug: hello.c:1:\d+: warning/,
  );
  assert.match(stdout, / {4}\+ release: hello.c:1:\d+: error: .two. undeclared/);
  assert.match(stdout, /^6 built: 2 ok, 2 with warnings, 2 failed\n2\n/m);
  assert.match(stdout, /^worker-alpha.log$/m);
  assert.match(stdout, /^hello.c:1:\d+: error: .two. undeclared/m);
  assert.match(readFileSync(join(desk, "hello", "matrix.html"), "utf8"), /<td class="failed"/);
});
