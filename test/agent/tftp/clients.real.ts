import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "../../../os/run.ts";
import { programs } from "./programs.ts";
import { startServer } from "./server.ts";
import { patienceMs } from "../../fixtures/patience.ts";

// Not a whole number of blocks. The large one has more than 65535 of 512 bytes.
const largeMiB = 33;
const content = randomBytes(largeMiB * 1024 * 1024 + 77);
/** The clients of machines; in the long part `tftp` all of them. */
const gettingLarge = process.env["CROFT_TFTP_LARGE"] === undefined ? /^(curl|busybox tftp)$/ : /./;
const timeoutSeconds = 600;
const anyStatus = Array.from({ length: 256 }, (_, status) => status);

for (const program of programs) {
  const sizeMiB = gettingLarge.test(program.name) ? largeMiB : 1;
  test(`${program.name} gets and puts ${sizeMiB} MiB`, async () => {
    await using s = await startServer();
    const sent = content.subarray(0, sizeMiB * 1024 * 1024 + 77);
    const local = join(s.readable, "..", "local");
    await writeFile(join(s.readable, "big"), sent);
    await run(program.get(s.port, "big", local), { timeoutSeconds });
    assert.ok(sent.equals(await readFile(local)), "got");
    await run(program.put(s.port, local, "copy"), { timeoutSeconds });
    assert.ok(sent.equals(await readFile(join(s.writable, "copy"))), "put");
    assert.deepEqual(await s.written(), ["copy"]);
    assert.deepEqual(await s.told("complete"), ["copy", sent.length]);
  });
}

for (const program of programs)
  test(`${program.name} gets and puts small and empty files`, async () => {
    await using s = await startServer();
    const local = join(s.readable, "..", "local");
    for (const size of [0, 100, 512]) {
      await writeFile(join(s.readable, "f"), content.subarray(0, size));
      await writeFile(local, "");
      await run(program.get(s.port, "f", local), { timeoutSeconds });
      assert.equal((await readFile(local)).length, size);
      await run(program.put(s.port, join(s.readable, "f"), "g"), { timeoutSeconds });
      assert.equal((await readFile(join(s.writable, "g"))).length, size);
      await rm(local);
    }
  });

test("clients are refused what lies outside, and say so", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "..", "secret"), "secret");
  const local = join(s.readable, "..", "local");
  for (const program of programs)
    for (const name of ["../secret", "x/../../secret", "//etc/passwd"]) {
      // curl tidies paths in URLs unless told not to.
      const argv = program
        .get(s.port, name, local)
        .flatMap((a) => (a === "curl" ? [a, "--path-as-is"] : [a]));
      const { status, stdout, stderr } = await run(argv, { timeoutSeconds, accept: anyStatus });
      // curl has an exit status for it, others print the server's words.
      assert.ok(status === 69 || /access violation/i.test(stdout + stderr), `${program.name} ${name}`);
      assert.doesNotMatch(await readFile(local, "utf8").catch(() => ""), /secret|root/);
    }
});

test("an upload whose client is killed leaves nothing", async () => {
  await using s = await startServer();
  const local = join(s.readable, "..", "local");
  await writeFile(local, content);
  const argv = ["--option", "timeout 1", "-p", "-l", local, "-r", "big", "127.0.0.1", String(s.port)];
  const child = spawn("atftp", argv, { stdio: "ignore" });
  const ended = once(child, "exit");
  await s.told("request");
  while (!(await hasContent(s))) await new Promise((resolve) => setTimeout(resolve, 2));
  child.kill("SIGKILL");
  await ended;
  assert.match((await s.written()).join(), /^\.croft-upload-[\w-]+$/, "it was under way");
  assert.deepEqual(await s.told("failed", patienceMs), ["big", "Timed out"]);
  assert.deepEqual(await s.written(), []);
});

/** True when a part of an upload is on disk. */
async function hasContent(s: { writable: string; written(): Promise<string[]> }): Promise<boolean> {
  const [name] = await s.written();
  return name !== undefined && (await readFile(join(s.writable, name))).length > 0;
}
