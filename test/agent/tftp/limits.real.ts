import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { libc } from "../../../os/libc.ts";
import { packAddress } from "../../../os/network/udp.ts";
import { run } from "../../../os/run.ts";
import { Client, DATA, get, packet, requestPacket, RRQ, WRQ } from "./client.ts";
import { startServer } from "./server.ts";
import { patienceMs } from "../../fixtures/patience.ts";

/** How often another server is used during a flood. */
const times = Number(process.env["CROFT_FLOOD_TIMES"] ?? 100);

const helper = (name: string) => join(import.meta.dirname, name);

test("a TFTP server without descriptors refuses, and serves again when there are some", async () => {
  const argv = ["prlimit", "--nofile=60:60", process.execPath, helper("exhausted.ts")];
  const { stdout } = await run(argv, { timeoutSeconds: 300 });
  assert.deepEqual(stdout.trim().split("\n"), [
    "free 0: opcode 5 Server is busy",
    "free 0: opcode 5 Server is busy",
    "free 1: opcode 5 Server is busy",
    "free 1: opcode 5 Server is busy",
    "free 2: opcode 3 content",
    "free 2: opcode 4 ",
    "after: content true",
  ]);
});

test("a TFTP server drops packets from source port 0", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "f"), Buffer.alloc(600, "x"));
  await using client = await Client.open();
  client.request(RRQ, s.port, "f");
  assert.equal((await client.next()).number, 1);
  for (const port of [s.port, client.transferPort])
    for (const payload of [requestPacket(RRQ, "f"), packet(4, 1), Buffer.alloc(1), Buffer.alloc(0)])
      sendFromPort0(port, payload);
  client.ack(1);
  assert.equal((await client.next()).number, 2);
  client.ack(2);
  assert.deepEqual(await s.told("read"), ["f", 600]);
  assert.equal(s.events.filter(([kind]) => kind === "request").length, 1);
});

/** Sends a UDP datagram whose source port is 0: only a raw socket can. */
function sendFromPort0(port: number, payload: Buffer): void {
  const [AF_INET, SOCK_RAW, IPPROTO_UDP] = [2, 3, 17];
  const fd = Number(libc.func("int socket(int, int, int)")(AF_INET, SOCK_RAW, IPPROTO_UDP));
  assert.ok(fd >= 0, "a raw socket");
  const header = Buffer.alloc(8); // source port and checksum stay 0: none
  header.writeUInt16BE(port, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  const datagram = Buffer.concat([header, payload]);
  const sendto = libc.func("intptr_t sendto(int, const void *, size_t, int, const void *, uint32_t)");
  assert.equal(
    Number(sendto(fd, datagram, datagram.length, 0, packAddress("127.0.0.1", 0), 16)),
    datagram.length,
  );
  libc.func("int close(int)")(fd);
}

test("TFTP transfers that make no progress end, however much is sent again", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "f"), Buffer.alloc(6000, "x"));
  await using reader = await Client.open();
  await using writer = await Client.open();
  reader.request(RRQ, s.port, "f", { timeout: 1 });
  writer.request(WRQ, s.port, "g", { timeout: 1 });
  await reader.next();
  await writer.next();
  reader.ack(0);
  writer.data(1, Buffer.alloc(512));
  const again = setInterval(() => {
    reader.ack(0);
    writer.data(1, Buffer.alloc(512));
  }, 50);
  try {
    const deadline = AbortSignal.timeout(patienceMs);
    const failed = () => s.events.filter(([kind, , reason]) => kind === "failed" && reason === "Timed out");
    while (failed().length < 2) await once(s.server, "failed", { signal: deadline });
    assert.deepEqual(await s.written(), []);
  } finally {
    clearInterval(again);
  }
});

test("a flood of one TFTP server leaves another one of the same process responsive", async () => {
  await using flooded = await startServer();
  await using other = await startServer();
  await writeFile(join(flooded.readable, "f"), Buffer.alloc(1_000_000));
  await writeFile(join(other.readable, "f"), Buffer.alloc(5000));
  const flood = spawn(process.execPath, [helper("flood.ts"), String(flooded.port)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(flood, "exit");
  try {
    await once(flood.stdout, "data");
    await flooded.told("request");
    for (let i = 0; i < times; i++) {
      const start = process.cpuUsage();
      assert.equal((await get(other.port, "f")).length, 5000);
      // Time of the processor, which the flood uses up: what else this host does makes no difference.
      const { user, system } = process.cpuUsage(start);
      assert.ok(user + system < 1_000_000, "nothing was lost on the way");
    }
    assert.ok(flooded.events.length > 1000, "it was a flood");
  } finally {
    flood.kill("SIGKILL");
    await ended;
  }
  await using client = await Client.open();
  for (;;) {
    // The transfers of the flood's requests take a while to end.
    client.request(RRQ, flooded.port, "f");
    if ((await client.next()).opcode === DATA) return;
    await once(flooded.server, "failed", { signal: AbortSignal.timeout(patienceMs) });
  }
});
