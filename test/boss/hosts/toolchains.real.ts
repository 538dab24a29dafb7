/** `croft boss toolchains` on this machine: what it has, and what it gets from archives laid out as kernel.org's. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "../../../os/run.ts";
import { makeDesk } from "../desk.ts";
import { runBoss } from "../running-boss.ts";

/** A server of archives: one with a compiler for nios2, one for xtensa whose digest is another's. */
async function serveArchives(directory: string) {
  const machine = { x64: "x86_64", arm64: "arm64" }[process.arch as string]!;
  const folder = join(directory, machine, "14.2.0");
  mkdirSync(folder, { recursive: true });
  let sums = "";
  for (const name of ["nios2-linux", "xtensa-linux"]) {
    const tree = join(directory, "gcc-14.2.0-nolibc", name, "bin");
    mkdirSync(tree, { recursive: true });
    writeFileSync(join(tree, `${name}-gcc`), `#!/bin/sh\necho '${name}-gcc (GCC) 14.2.0'\n`, { mode: 0o755 });
    const file = `${machine}-gcc-14.2.0-nolibc-${name}.tar.xz`;
    const argv = ["tar", "-C", directory, "-cJf", join(folder, file), `gcc-14.2.0-nolibc/${name}`];
    await run(argv, { timeoutSeconds: 300 });
    const content = name === "nios2-linux" ? readFileSync(join(folder, file)) : "something else";
    sums += `${createHash("sha256").update(content).digest("hex")}  ${file}\n`;
  }
  writeFileSync(join(folder, "sha256sums.asc"), sums);
  const server = createServer(({ url = "" }, response) => {
    const path = join(directory, url);
    if (!existsSync(path)) return void response.writeHead(404).end();
    response.end(readFileSync(path));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

test("missing compilers are named with where they can be had; those that are fetched are used if they are whole", async () => {
  await using world = await makeDesk(["a"], [{}], () => []);
  await using archives = await serveArchives(join(world.directory, "archives"));
  const { directory } = world.history;
  const listed = await runBoss(["toolchains"], world, directory);
  assert.equal(listed.status, 0, listed.stderr);
  assert.match(listed.stdout, /^local +sandbox +cc +\S/m);
  assert.match(listed.stdout, /^nios2 +all +- +\S+-nolibc-nios2-linux\.tar\.xz$/m);
  assert.match(listed.stdout, /^arc +all +gcc-arc-linux-gnu +\S+-nolibc-arc-linux\.tar\.xz$/m);
  const options = ["--fetch-toolchains", "nios2,xtensa", "--toolchain-mirror", archives.url];
  const fetched = await runBoss(["toolchains", ...options], world, directory);
  assert.equal(fetched.status, 1);
  assert.match(
    fetched.stdout,
    /^local +nios2 +\S*\/nios2-linux\/bin\/nios2-linux-gcc +nios2-linux-gcc \(GCC\) 14\.2\.0$/m,
  );
  assert.match(fetched.stderr, /^host local: no compiler for xtensa: \S+ is not what its SHA-256 says$/m);
  const kept = join(world.directory, "desk", ".cache/croft/toolchains");
  assert.ok(!existsSync(join(kept, "xtensa-linux")));
  const unknown = await runBoss(["toolchains", "--fetch-toolchains", "vax"], world, directory);
  assert.equal(unknown.status, 2);
  assert.match(unknown.stderr, /Cannot fetch a compiler for 'vax': there are aarch64, /);
});
