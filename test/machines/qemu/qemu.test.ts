import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { silentLog } from "../../../os/log.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { architectureOf, hostArchitecture } from "../../../machines/qemu/architecture.ts";
import { BoundedFile } from "../../../machines/qemu/bounded-file.ts";
import { QmpClient, QmpFailure, type QmpEvent } from "../../../machines/qemu/qmp.ts";
import { throttle } from "../../../os/throttle.ts";
import type { StartOptions } from "../../../machines/virtual-machine.ts";
import { commandLineOf } from "./qemu-guest.ts";

/** The far end of a QMP connection, on a real socket. */
async function qmpPair(onEvent: (event: QmpEvent) => void = () => {}) {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const near = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const client = new QmpClient(near, onEvent);
  const [far] = (await accepted) as [Socket];
  server.close();
  let text = "";
  far.on("error", () => {}).on("data", (chunk) => (text += String(chunk)));
  const received = async (wanted: RegExp) => {
    while (!wanted.test(text)) await once(far, "data");
    return [...text.matchAll(/.+/g)].map(([line]) => JSON.parse(line) as { execute: string; id: number });
  };
  return {
    client,
    far,
    received,
    [Symbol.dispose]: () => {
      client[Symbol.dispose]();
      far.destroy();
    },
  };
}

test("a QMP client negotiates, matches answers to commands, and passes events on from the first", async () => {
  const events: QmpEvent[] = [];
  using pair = await qmpPair((event) => events.push(event));
  const negotiated = pair.client.negotiate(5);
  pair.far.write('{"event":"EARLY"}\r\n{"QMP": {"version": {}}}\r\n');
  await pair.received(/qmp_capabilities/);
  pair.far.write('{"return": {}, "id": 1}\r\n');
  await negotiated;
  const [stop, status] = [pair.client.execute("stop"), pair.client.execute("query-status")];
  await pair.received(/query-status/);
  pair.far.write('{"return": {"status":"paused"}, "id": 3}\n{"event":"STOP","data":{"a":1}}\n{"ret');
  assert.deepEqual(await status, { status: "paused" });
  pair.far.write('urn": {}, "id": 2}\n');
  assert.deepEqual(await stop, {});
  assert.deepEqual(events, [{ event: "EARLY" }, { event: "STOP", data: { a: 1 } }]);
});

test("a QMP command fails when it is refused, not answered, or the connection ends", async () => {
  using pair = await qmpPair();
  const refused = pair.client.execute("bad");
  await pair.received(/bad/);
  pair.far.write(
    '{"error": {"class": "CommandNotFound", "desc": "The command bad has not been found"}, "id": 1}\n',
  );
  await assert.rejects(refused, {
    name: "QmpFailure",
    message: "Cannot execute QMP command 'bad': The command bad has not been found",
  });
  await assert.rejects(pair.client.execute("slow", {}, 0.05), /no answer after 0.05 s/);
  pair.far.write('{"return": "too late", "id": 2}\n');
  const cut = pair.client.execute("quit");
  await pair.received(/quit/);
  pair.far.end();
  await assert.rejects(cut, QmpFailure);
  await assert.rejects(pair.client.execute("after"), /QEMU closed the connection/);
});

test("a QMP peer that sends nonsense or an endless line is given up", async () => {
  for (const nonsense of ["nonsense\n", "x".repeat(2 * 1024 * 1024)]) {
    using pair = await qmpPair();
    const waiting = pair.client.execute("stop");
    pair.far.write(nonsense);
    await assert.rejects(waiting, QmpFailure);
  }
});

test("a bounded file keeps head and tail, whatever the size of the pieces, and says how much is missing", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  for (const pieceBytes of [1, 7, 100, 1000, 100_000]) {
    const path = join(directory.path, `file-${pieceBytes}`);
    const all = Array.from({ length: 5000 }, (_, index) => `line ${index}\n`).join("");
    using file = new BoundedFile(path, 4096);
    for (let offset = 0; offset < all.length; offset += pieceBytes) {
      assert.equal(file.write(Buffer.from(all.slice(offset, offset + pieceBytes))), undefined);
      assert.ok(statSync(path).size <= 4096);
    }
    const text = readFileSync(path, "latin1");
    const [, head, cut, tail] = /^([^]*)\n\[croft: (\d+) bytes left out\]\n([^]*)$/.exec(text)!;
    assert.ok(head!.length >= 2000 && all.startsWith(head!));
    assert.ok(tail!.length >= 1000 && all.endsWith(tail!));
    assert.equal(head!.length + Number(cut) + tail!.length, all.length);
  }
});

test("a file within its bounds is kept as it is; a full disk ends the recording, once", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  using file = new BoundedFile(join(directory.path, "file"), 4096);
  file.write(Buffer.from("all of it"));
  assert.equal(readFileSync(file.path, "latin1"), "all of it");
  using full = new BoundedFile("/dev/full", 4096);
  assert.equal((full.write(Buffer.from("x")) as NodeJS.ErrnoException).code, "ENOSPC");
  assert.equal(full.write(Buffer.from("x")), undefined);
});

test("a throttled stream passes a second's worth at once, the rest at its rate, and all of it in the end", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const stream = new PassThrough({ highWaterMark: 10_000 });
  let passed = 0;
  throttle(stream, 1000, (chunk) => (passed += chunk.length));
  for (let piece = 0; piece < 5; piece++) stream.write(Buffer.alloc(500));
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  await settle();
  assert.ok(passed < 2000, `${passed} bytes`);
  assert.ok(stream.isPaused());
  for (let second = 0; second < 5; second++) {
    t.mock.timers.tick(1000);
    await settle();
  }
  assert.equal(passed, 2500);
});

async function machineDirectory(directory: string): Promise<StartOptions> {
  await writeFile(join(directory, "disk.img"), "");
  await writeFile(join(directory, "disk2.qcow2"), "");
  return {
    ...{ name: "one,two", directory, runtimeDirectory: "/run/croft/x", mac: "52:54:00:00:00:01" },
    machine: { id: "m-1", name: "m", summary: "m", type: "kvm" },
    ...{ network: { kind: "user", tftpPort: 23401 }, cpus: 2, ramKiB: 1048576, accel: "tcg" },
    log: silentLog(),
  };
}

test("a machine without kernel boots from its disks, in the order of their names", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const argv = (await commandLineOf(await machineDirectory(directory.path))).join(" ");
  assert.ok(!argv.includes("-kernel"));
  assert.match(
    argv,
    /file=\/dev\/fdset\/0,cache=unsafe,discard=unmap,format=raw .*file=\/dev\/fdset\/1,.*format=qcow2/,
  );
  assert.match(argv, /set=0,opaque=\S*\/disk\.img .*set=1,opaque=\S*\/disk2\.qcow2 /);
  assert.match(argv, /-name guest=one,,two /);
  assert.match(argv, /-accel tcg -cpu max -smp 2 -m 1048576k/);
});

test("a machine with a kernel boots it, with its command line on one line", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const options = await machineDirectory(directory.path);
  for (const [name, content] of Object.entries({ kernel: "", initrd: "", cmdline: "a=1\n b=2\n\n" }))
    await writeFile(join(directory.path, name), content);
  const argv = await commandLineOf(options);
  const at = argv.indexOf("-kernel");
  const inherited = /^\/proc\/self\/fd\/\d+$/;
  for (const index of [1, 3]) assert.match(argv[at + index]!, inherited);
  assert.deepEqual(
    [argv[at], argv[at + 2], ...argv.slice(at + 4, at + 6)],
    ["-kernel", "-initrd", "-append", "a=1 b=2"],
  );
});

test("a machine's own options replace network and disks, with the MAC address filled in", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const options = await machineDirectory(directory.path);
  const own = ["-netdev", "user,id=n", "-device", "e1000,netdev=n,mac=?", "-hda", "disk.img"];
  const argv = await commandLineOf({ ...options, machine: { ...options.machine, options: own } });
  assert.deepEqual(argv.slice(-6), [
    "-netdev",
    "user,id=n",
    "-device",
    `e1000,netdev=n,mac=${options.mac}`,
    "-hda",
    "disk.img",
  ]);
  assert.ok(!argv.join(" ").includes("virtio-blk"));
  const tap = { ...options.machine, options: ["-netdev", "tap,id=n,ifname=?"] };
  await assert.rejects(commandLineOf({ ...options, machine: tap }), /needs a bridged network/);
});

test("a machine of a type that QEMU does not run is refused", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const options = await machineDirectory(directory.path);
  await assert.rejects(
    commandLineOf({ ...options, machine: { ...options.machine, type: "nspawn" } }),
    /Cannot start machine 'one,two': its type is 'nspawn': a container isolates a build less/,
  );
});

test("the architecture of a machine is that of its kernel, else the host's", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  assert.equal(architectureOf(directory.path), hostArchitecture());
  for (const [magic, offset, architecture] of [
    ["HdrS", 0x202, "x86_64"],
    ["ARMd", 0x38, "aarch64"],
    ["RSC\x05", 0x38, "riscv64"],
  ] as const) {
    const kernel = Buffer.alloc(4096);
    kernel.write(magic, offset, "latin1");
    await writeFile(join(directory.path, "kernel"), kernel);
    assert.equal(architectureOf(directory.path), architecture);
  }
});
