/** What a build prints in a real machine, seen while it runs: through the port org.croft.log, to the byte. */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Exchange } from "../../agent/performing/exchange.ts";
import { decompressFrames } from "../../agent/results/lz4.ts";
import { guestWorker } from "../../os/files/guest-worker.ts";
import { silentLog } from "../../os/log.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { openHostNetwork } from "../../machines/network/host-network.ts";
import { startVirtualMachine } from "../../machines/qemu/start.ts";
import { parseResult } from "../../manifests/result.ts";
import { copyMachine, minimalMachine } from "../fixtures/machines/images.ts";
import { logOf, statuses } from "./guest.ts";
import { packSource, script, serveSources } from "./sources.ts";
import { patienceMs, patienceSeconds } from "../fixtures/patience.ts";

const log = silentLog();
const colours = "\x1b[1;31mred\x1b[0m \x1b]0;title\x07 grüße";
const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));

/** Boots a machine that exchanges files of a directory, until it has sent one; what came through its log port. */
async function boot(
  directory: string,
  upload: string,
  onLog: (text: Buffer) => void = () => {},
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const mac = "52:54:00:0a:0b:0e";
  const host = await openHostNetwork({ choice: { kind: "user" }, offset: 1, mac, log });
  await using exchange = await Exchange.start({
    requesters: "own-process",
    ...{ address: host.address, port: 0, uploadMaxBytes: 10_000_000, log },
    ...{ readable: join(directory, "get"), writable: join(directory, "put") },
    connect: (tftpPort) => host.connect(tftpPort),
    start: (network) =>
      startVirtualMachine({
        ...{ name: "live-log", directory: join(directory, "snapshot"), mac, log },
        ...{ runtimeDirectory: join(directory, "run"), network },
        machine: { id: "live-log-1", name: "live-log", summary: "a machine", type: "kvm" },
        ...{ cpus: 1, ramKiB: 384 * 1024, accel: "auto" },
        onLog: (chunk) => {
          chunks.push(chunk);
          onLog(Buffer.concat(chunks));
        },
      }),
  });
  const sent = await exchange.waitForUpload([upload], patienceSeconds, AbortSignal.timeout(patienceMs));
  assert.equal(sent.kind, "done", `${JSON.stringify(sent)}: ${Buffer.concat(chunks)}`);
  // The disk is to be whole for the next boot. After a task the machine goes on until it is ended.
  if (upload === "bootstrap.manifest") await exchange.machine!.wait(60);
  return Buffer.concat(chunks);
}

test("the log of a build in a machine comes while it runs, colours and all", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const at = (...names: string[]) => join(directory.path, ...names);
  for (const name of ["get", "put", "run"]) await mkdir(at(name));
  await copyMachine(await minimalMachine(), at("snapshot"));
  await using sources = await serveSources();
  const url = sources.url.replace("127.0.0.1", "10.0.2.2");

  await writeFile(at("get", "worker"), await guestWorker());
  await writeFile(at("get", "bootstrap"), script(`printf '\\033[32mgreen\\033[m\\n'`));
  const bootstrap = await boot(directory.path, "bootstrap.manifest");
  assert.match(
    bootstrap.toString(),
    /^==> croft-worker [0-9.]+\r\n==> bootstrap\r\n\x1b\[32mgreen\x1b\[m\n$/,
  );

  await packSource(sources, {
    output: Buffer.concat([Buffer.from(`${colours}\n`), bytes]),
    // Goes on when what it printed has been seen.
    ".croft/update": script(
      "cat output",
      `until busybox wget -q -O seen ${url}/seen; do sleep 0.1; done`,
      // What every host has, a machine has.
      "echo in | cat /dev/stdin; echo out > /dev/stdout; echo err > /dev/stderr; echo fd | cat /dev/fd/0",
      'for d in shm pts; do grep -c " /dev/$d " /proc/mounts; done; [ -c /dev/ptmx ] && echo ptmx',
      "for name in localhost $(hostname); do grep -q -w $name /etc/hosts && echo known; done",
      ': > "$HOME/file" && echo "$LC_ALL $TZ $CI $(cd $CROFT_BUILD && ls | wc -l)"',
    ),
  });
  await writeFile(
    at("get", "task.manifest"),
    `: 1\nname: hello\nversion: 1.0\nmachine: live-log\ntarget: t\nrepository-url: ${url}/hello-1.0.tar.gz\n`,
  );
  const live = await boot(directory.path, "result.manifest.lz4", (text) => {
    if (text.includes(bytes)) void writeFile(join(sources.directory, "seen"), "");
  });
  const update = live.indexOf("==> update\r\n");
  const printed = Buffer.concat([Buffer.from(`+ .croft/update\n${colours}\n`), bytes]);
  assert.ok(live.includes(printed, update), live.toString());
  assert.match(
    live.toString(),
    /^==> croft-worker [0-9.]+\r\n==> fetch\r\n[^]*==> update: success \(\d+ s\)\r\n/,
  );
  assert.ok(live.toString().endsWith("==> sending the result\r\n"));

  const result = parseResult(
    await decompressFrames(await readFile(at("put", "result.manifest.lz4")), 1 << 20),
  );
  assert.deepEqual(statuses(result), ["fetch success", "update success"]);
  assert.match(logOf(result, "update"), /^\+ \.croft\/update\nred {2}grüße\n/);
  const machine = "in\nout\nerr\nfd\n1\n1\nptmx\nknown\nknown\nC.UTF-8 UTC true 0";
  assert.ok(logOf(result, "update").endsWith(machine), logOf(result, "update"));
});
