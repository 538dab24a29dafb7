import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { changesSince, driftOf, readVersions } from "../../../boss/hosts/compilers.ts";
import { readToolchains, toolchainScript } from "../../../boss/hosts/toolchains.ts";
import { marker } from "../../../boss/hosts/scripts.ts";
import { compilersSeen, noteCompilers } from "../../../boss/results/compilers-seen.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

test("only compilers of architectures that are to be built are asked; one that says nothing is passed over", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const bin = join(directory.path, "it's bin");
  mkdirSync(bin);
  const program = (name: string, text: string) => {
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return join(bin, name);
  };
  const asked = program("arm-gcc", "echo 'arm-gcc (Debian) 12.2'; echo second line");
  const m68k = program("m68k-gcc", "touch ../asked");
  const compilers = { arm: [asked], riscv: [program("riscv-gcc", "exit 1")], m68k: [m68k] };
  const script = toolchainScript(compilers, new Set(["arm", "riscv"]));
  const { stdout } = spawnSync("sh", ["-c", script], { cwd: bin, encoding: "utf8" });
  const answers = stdout
    .split("\n")
    .flatMap((line) => (line.startsWith(marker) ? [line.slice(marker.length)] : []));
  assert.equal(answers.at(-1), "done");
  assert.deepEqual(readVersions(answers), { arm: "arm-gcc (Debian) 12.2" });
  assert.equal(readToolchains(answers)["m68k"], m68k);
  assert.ok(!existsSync(join(directory.path, "asked")));
});

test("compilers that are not the same on all hosts are told, with who has which", () => {
  const hosts = new Map([
    ["alpha", { arm: "gcc 12", sandbox: "cc 12" }],
    ["beta", { arm: "gcc 13" }],
    ["gamma", { arm: "gcc 12", sandbox: "cc 12" }],
  ]);
  assert.deepEqual(driftOf(hosts), [
    {
      architecture: "arm",
      versions: [
        { version: "gcc 12", hosts: ["alpha", "gamma"] },
        { version: "gcc 13", hosts: ["beta"] },
      ],
    },
  ]);
});

test("a compiler that has changed since a host's last run is told once, though other runs had no need of it", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const run = (compilers: Record<string, string>) => {
    const now = new Map([["alpha", compilers]]);
    const changes = changesSince(compilersSeen(directory.path), now);
    noteCompilers(directory.path, now);
    return changes;
  };
  assert.deepEqual(run({ arm: "gcc 12" }), []);
  assert.deepEqual(run({ sandbox: "cc 12" }), []);
  assert.deepEqual(run({ arm: "gcc 13", sandbox: "cc 12" }), [
    { host: "alpha", architecture: "arm", before: "gcc 12", now: "gcc 13" },
  ]);
  assert.deepEqual(run({ arm: "gcc 13" }), []);
  writeFileSync(join(directory.path, ".croft-compilers.json"), '{"alpha": 7}');
  assert.deepEqual(run({ arm: "gcc 14" }), [], "a file that is none is no failure");
});
