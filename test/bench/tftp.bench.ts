/** The embedded TFTP server beside in.tftpd (tftpd-hpa): the same clients, one after the other, on loopback. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { get } from "../agent/tftp/client.ts";
import { curl, lockStep, windows, type ClientProgram } from "../agent/tftp/programs.ts";
import { freePort } from "../fixtures/ports.ts";

const sizeBytes = 64 * 1024 * 1024;
const rounds = 5;

const clients: ClientProgram[] = [{ name: "curl, 1468 bytes", ...curl(1468) }, lockStep, windows];

export default async function bench(): Promise<void> {
  // In memory: the disk is not what is measured.
  await using directory = await temporaryDirectory("croft-test-", "/dev/shm");
  const path = directory.path;
  await mkdir(join(path, "put"));
  await writeFile(join(path, "small"), "x");
  await writeFile(join(path, "big"), randomBytes(sizeBytes));
  for (const name of ["copy-croft", "copy-other"]) {
    // in.tftpd writes only into files that are there and that everybody may write.
    await writeFile(join(path, "put", name), "");
    await chmod(join(path, "put", name), 0o666);
  }
  await chmod(path, 0o755);
  const [ours, theirs] = [await freePort(), await freePort()];
  const program = join(import.meta.dirname, "../agent/tftp/serve.ts");
  await using stack = new AsyncDisposableStack();
  stack.use(start([process.execPath, program, String(ours), path, join(path, "put")]));
  stack.use(
    start(["/usr/sbin/in.tftpd", "-L", "-s", "-c", "-p", "-u", "root", "-a", `127.0.0.1:${theirs}`, path]),
  );
  await Promise.all([until(ours), until(theirs)]);
  process.stdout.write(`MB/s, median of ${rounds} (64 MiB)                croft   in.tftpd   ratio\n`);
  for (const client of clients) {
    const local = join(path, "local");
    await compare(`get, ${client.name}`, client.get(ours, "big", local), client.get(theirs, "big", local));
    await compare(
      `put, ${client.name}`,
      client.put(ours, join(path, "big"), "copy-croft"),
      client.put(theirs, join(path, "big"), "put/copy-other"),
    );
  }
}

/** Measures both in turns, so that what else runs on the host troubles both. */
async function compare(what: string, ours: string[], theirs: string[]): Promise<void> {
  const seconds: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++)
    for (const [side, argv] of [ours, theirs].entries()) {
      const startMs = performance.now();
      await run(argv, { timeoutSeconds: 120 });
      seconds[side as 0 | 1].push((performance.now() - startMs) / 1000);
    }
  const [a, b] = seconds.map((values) => sizeBytes / 1e6 / values.sort((x, y) => x - y)[rounds >> 1]!) as [
    number,
    number,
  ];
  process.stdout.write(
    `${what.padEnd(44)} ${a.toFixed(0).padStart(7)} ${b.toFixed(0).padStart(10)} ${(a / b).toFixed(2).padStart(7)}\n`,
  );
}

function start(argv: string[]): AsyncDisposable {
  const child = spawn(argv[0]!, argv.slice(1), { stdio: ["ignore", "ignore", "inherit"] });
  const ended = once(child, "exit");
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** Waits until a server serves: its first answers may be late. */
async function until(port: number): Promise<void> {
  for (let attempt = 0; ; attempt++)
    try {
      return void (await get(port, "small"));
    } catch (error) {
      if (attempt === 5) throw error;
    }
}
