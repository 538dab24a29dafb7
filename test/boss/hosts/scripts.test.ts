import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { answer, prepareScript, shellLoop } from "../../../boss/hosts/scripts.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

const framed = (script: string) => `${Buffer.byteLength(script)}\n${script}`;

test("a host's shell takes each script to its last byte and no further, also where dd reads only byte by byte", async () => {
  await using directory = await temporaryDirectory("croft-test-scripts-");
  const old = join(directory.path, "old");
  mkdirSync(old);
  const refusal = 'case "$*" in *iflag*) echo "dd: unknown operand" >&2; exit 1 ;; esac';
  writeFileSync(join(old, "dd"), `#!/bin/sh\n${refusal}\nPATH=\${PATH#*:} exec dd "$@"\n`, { mode: 0o755 });
  const long = `: '${"ä".repeat(50)}'\n${answer("one")}`;
  const input = framed(long) + framed(`read -r next\n${answer('"$next"')}`) + "what follows\n";
  for (const path of [process.env["PATH"], `${old}:${process.env["PATH"]}`]) {
    const { stdout, stderr } = spawnSync("sh", ["-c", shellLoop], {
      env: { PATH: path },
      input,
      encoding: "utf8",
    });
    assert.deepEqual(
      stdout.split("\n").filter((line) => line !== ""),
      ["CROFT> one", "CROFT> what follows"],
      stderr,
    );
  }
});

test("a host's git hears nothing of another repository that its environment names", () => {
  const { stdout } = spawnSync("git", ["rev-parse", "--local-env-vars"], { encoding: "utf8" });
  const [, unset = ""] = /^unset (.*)$/m.exec(prepareScript("/work")) ?? [];
  const forgotten = new Set(unset.split(" "));
  const names = stdout.split("\n").filter(Boolean);
  assert.ok(names.includes("GIT_DIR"));
  assert.deepEqual(
    names.filter((name) => !forgotten.has(name)),
    [],
  );
});

test("what a host's repository is set to otherwise, or loses, is set again; what is as it was left takes few programs", async () => {
  await using directory = await temporaryDirectory("croft-test-scripts-");
  const work = join(directory.path, "work");
  const bin = join(directory.path, "bin");
  mkdirSync(bin);
  const count = join(directory.path, "count");
  writeFileSync(join(bin, "git"), `#!/bin/sh\necho git >> ${count}\nPATH=\${PATH#*:} exec git "$@"\n`, {
    mode: 0o755,
  });
  const prepare = () => {
    writeFileSync(count, "");
    const { stdout, stderr } = spawnSync("sh", ["-c", `${prepareScript(work)}\nwc -l < ${count}`], {
      env: { ...process.env, PATH: `${bin}:${process.env["PATH"]}` },
      encoding: "utf8",
    });
    assert.match(stdout, /^CROFT> prepared \d+ \d+ [\d.]+ [\d.]+ \d+ \d+ /m, stderr);
    return Number(stdout.trim().split("\n").at(-1));
  };
  const git = (...args: string[]) =>
    spawnSync("git", ["-C", work, ...args], { encoding: "utf8" }).stdout.trim();
  prepare();
  assert.equal(prepare(), 2);
  for (const hooks of ["/evil", "/more"]) git("config", "--add", "core.hooksPath", hooks);
  writeFileSync(join(work, ".git/info/attributes"), "* filter=evil\n");
  writeFileSync(join(work, ".git/info/exclude"), "");
  prepare();
  assert.equal(git("config", "--get-all", "core.hooksPath"), "/dev/null");
  assert.equal(git("check-attr", "filter", "file"), "file: filter: unset");
  assert.equal(git("status", "--porcelain"), "");
  assert.equal(prepare(), 2);
});
