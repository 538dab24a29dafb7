import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { once } from "node:events";

/** Makes two directories and waits; with `true` it ends by itself when it is told to. */
const program = `
  const { temporaryDirectory } = await import(process.argv[1]);
  await using one = await temporaryDirectory("one-", process.argv[2]);
  await (await temporaryDirectory("two-", process.argv[2]))[Symbol.asyncDispose]();
  const told = Promise.withResolvers();
  const stay = setInterval(() => {}, 1000);
  if (process.argv[3] === "true") process.on("SIGTERM", () => { clearInterval(stay); told.resolve(); });
  console.log("ready");
  await told.promise;
`;

async function ended(listens: boolean): Promise<{ signal: string | null; left: string[] }> {
  const parent = await mkdtemp(join(tmpdir(), "croft-test-temporary-"));
  try {
    const module = new URL("../../../os/files/temporary.ts", import.meta.url).href;
    const child = spawn(
      process.execPath,
      ["--input-type=module", "-e", program, module, parent, String(listens)],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    await once(child.stdout, "data");
    assert.equal((await readdir(parent)).length, 1);
    child.kill("SIGTERM");
    const [, signal] = (await once(child, "exit")) as [number | null, string | null];
    return { signal, left: await readdir(parent) };
  } finally {
    await rm(parent, { recursive: true });
    assert.ok(!existsSync(parent));
  }
}

test("a process that a signal ends leaves no temporary directory, and has ended by that signal", async () => {
  assert.deepEqual(await ended(false), { signal: "SIGTERM", left: [] });
});

test("one that listens to the signal ends as it would have", async () => {
  assert.deepEqual(await ended(true), { signal: null, left: [] });
});
