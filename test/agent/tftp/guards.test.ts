/** What the `tftp` package alone does not survive, or does wrong. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { mock, test } from "node:test";
import {
  ACK,
  Client,
  DATA,
  ERROR,
  get,
  OACK,
  packet,
  type Packet,
  put,
  requestPacket,
  RRQ,
  WRQ,
} from "./client.ts";
import { startServer } from "./server.ts";

test("TFTP bears datagrams of no and of one byte, to the server's and to a transfer's port", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "f"), Buffer.alloc(600, "x"));
  await using client = await Client.open();
  client.request(RRQ, s.port, "f");
  assert.equal((await client.next()).number, 1);
  for (const port of [s.port, client.transferPort])
    for (const bytes of [0, 1, 2, 3]) client.send(Buffer.alloc(bytes), port);
  client.ack(1);
  // What has an opcode is answered with an error by the server's port; the transfer goes on.
  for (let got = await client.next(); got.opcode !== DATA; got = await client.next())
    assert.equal(got.port, s.port);
  client.ack(2);
  assert.deepEqual(await s.told("read"), ["f", 600]);
});

test("a duplicate acknowledgement 0 does not end a TFTP read, nor is it answered", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "f"), Buffer.alloc(600, "x"));
  await using client = await Client.open();
  client.request(RRQ, s.port, "f", { blksize: 512 });
  assert.equal((await client.next()).opcode, OACK);
  for (let i = 0; i < 5; i++) client.ack(0);
  assert.deepEqual(await client.next().then(({ opcode, number }) => [opcode, number]), [DATA, 1]);
  assert.equal(await client.poll(200), undefined, "only once: no Sorcerer's Apprentice");
  client.ack(1);
  client.ack(1);
  assert.equal((await client.next()).number, 2);
  assert.equal(await client.poll(200), undefined);
  client.ack(2);
  assert.deepEqual(await s.told("read"), ["f", 600]);
});

test("packets from another address get error 5 and do not touch the TFTP transfer", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "f"), Buffer.alloc(600, "x"));
  await using client = await Client.open();
  await using writer = await Client.open();
  client.request(RRQ, s.port, "f");
  writer.request(WRQ, s.port, "g", { windowsize: 8 });
  await client.next();
  await writer.next();
  for (const address of ["127.0.0.1", "127.0.0.2"]) {
    await using stranger = await Client.open(address);
    for (const port of [client.transferPort, writer.transferPort])
      for (const bytes of [packet(ACK, 1), packet(DATA, 1, Buffer.from("forged")), Buffer.from([0, 9])]) {
        stranger.send(bytes, port);
        const got = await stranger.next();
        assert.deepEqual([got.opcode, got.number, got.port], [ERROR, 5, port]);
      }
    stranger.send(packet(ERROR, 0, Buffer.from("stop\0")), client.transferPort);
    stranger.send(packet(ERROR, 0, Buffer.from("stop\0")), writer.transferPort);
    assert.equal(await stranger.poll(100), undefined, "an error is not answered");
  }
  client.ack(1);
  assert.equal((await client.next()).number, 2);
  client.ack(2);
  await s.told("read");
  writer.data(1, Buffer.from("true"));
  await s.told("complete");
  assert.equal(await readFile(join(s.writable, "g"), "utf8"), "true");
});

test("a repeated TFTP request gets the first answer again, from the same transfer", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "f"), Buffer.alloc(600, "x"));
  for (const [opcode, name, options] of [
    [RRQ, "f", {}],
    [RRQ, "f", { tsize: 0 }],
    [WRQ, "g", {}],
    [WRQ, "h", { blksize: 1024 }],
  ] as const) {
    await using client = await Client.open();
    const request = requestPacket(opcode, name, options);
    client.send(request, s.port);
    client.send(request, s.port); // while the file is still being opened, perhaps
    const first = await client.next();
    let again = await client.poll(100);
    if (again === undefined) {
      client.send(request, s.port);
      again = await client.next();
    }
    assert.deepEqual(again, first);
  }
  assert.equal(s.events.filter(([kind]) => kind === "request").length, 4);
  assert.equal(s.events.filter(([kind]) => kind === "failed").length, 0);
});

// A client that was held, or whose server was, has sent its request several times before it sees the first answer.
test("a TFTP request that comes again behind the first block opens no second transfer", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "f"), Buffer.alloc(2000, "x"));
  await using client = await Client.open();
  client.request(WRQ, s.port, "g");
  const { port } = await client.next();
  for (const block of [1, 2]) {
    client.data(block, Buffer.alloc(512, "x"));
    client.send(requestPacket(WRQ, "g"), s.port);
    assert.deepEqual(await client.next(), { opcode: ACK, number: block, data: Buffer.alloc(0), port });
  }
  client.data(3, Buffer.from("end"));
  assert.equal((await client.next()).number, 3);
  await using reader = await Client.open();
  reader.request(RRQ, s.port, "f");
  for (const block of [1, 2, 3, 4]) {
    assert.equal((await reader.next()).number, block);
    reader.ack(block);
    if (block < 4) reader.send(requestPacket(RRQ, "f"), s.port);
  }
  await s.told("read");
  await get(s.port, "f");
  assert.equal(s.events.filter(([kind]) => kind === "request").length, 3);
});

test("a peer of a TFTP transfer that has failed is told why as often as it sends", async () => {
  await using s = await startServer({ uploadMaxBytes: 600 });
  await using client = await Client.open();
  client.request(WRQ, s.port, "g");
  await client.next();
  client.data(1, Buffer.alloc(512));
  await client.next();
  client.data(2, Buffer.alloc(512));
  const refusal = await client.next();
  assert.deepEqual([refusal.opcode, refusal.number], [ERROR, 3]);
  await s.told("failed");
  client.send(packet(ERROR, 0, Buffer.from("nothing is said to this\0")));
  for (let i = 0; i < 3; i++) {
    client.data(2, Buffer.alloc(512));
    assert.deepEqual(await client.next(), refusal);
  }
  assert.deepEqual(await s.written(), []);
});

test("of the peers of failed TFTP transfers the last 32 are told why, and none when the server ends", async () => {
  await using s = await startServer({ uploadMaxBytes: 1 });
  await using clients = new AsyncDisposableStack();
  const all: Client[] = [];
  for (let i = 0; i < 34; i++) {
    const client = clients.use(await Client.open());
    client.request(WRQ, s.port, `f${i}`);
    await client.next();
    client.data(1, Buffer.alloc(512));
    assert.equal((await client.next()).opcode, ERROR);
    all.push(client);
  }
  while (s.events.filter(([kind]) => kind === "failed").length < 34) await once(s.server, "failed");
  // What nobody answers comes first: the answers to the others tell that it has been looked at.
  for (const client of all) client.data(1, Buffer.alloc(512));
  for (const client of all.slice(2)) assert.equal((await client.next()).opcode, ERROR);
  for (const client of all.slice(0, 2)) assert.equal(await client.poll(100), undefined);
  await s.server.close();
  all[33]!.data(1, Buffer.alloc(512));
  assert.equal(await all[33]!.poll(100), undefined);
});

test("a client may send its next TFTP request from the same port, even the same one", async () => {
  await using s = await startServer();
  await using client = await Client.open();
  for (let i = 0; i < 3; i++) {
    client.request(WRQ, s.port, "g");
    assert.equal((await client.next()).number, 0);
    client.data(1, Buffer.from(`round ${i}`));
    assert.equal((await client.next()).number, 1);
    assert.equal(await readFile(join(s.writable, "g"), "utf8"), `round ${i}`);
  }
});

test("a lost last acknowledgement of a TFTP write is given again", async () => {
  await using s = await startServer();
  await using client = await Client.open();
  client.request(WRQ, s.port, "g");
  await client.next();
  client.data(1, Buffer.from("all"));
  assert.equal((await client.next()).number, 1);
  await s.told("complete");
  for (let i = 0; i < 3; i++) {
    client.data(1, Buffer.from("all"));
    assert.deepEqual(await client.next().then(({ opcode, number }) => [opcode, number]), [ACK, 1]);
  }
  assert.equal(s.events.filter(([kind]) => kind === "complete").length, 1);
});

test("TFTP transfers are bound to the server's address only", async () => {
  await using s = await startServer({ address: "127.0.0.3" });
  await using client = await Client.open("127.0.0.3");
  const request = requestPacket(WRQ, "g");
  client.send(request, s.port, "127.0.0.3");
  await client.next();
  const sockets = await readFile("/proc/net/udp", "utf8");
  const hexadecimal = client.transferPort.toString(16).toUpperCase().padStart(4, "0");
  const bound = [...sockets.matchAll(/^ *\d+: ([0-9A-F]{8}):([0-9A-F]{4})/gm)]
    .filter(([, , port]) => port === hexadecimal)
    .map(([, address]) => address);
  assert.deepEqual([...new Set(bound)], ["0300007F"]); // a row may come twice while other sockets come and go
});

test("of thousands of TFTP requests at a time 64 are served, the others refused; then all is well again", async () => {
  await using s = await startServer();
  await using client = await Client.open();
  await using stack = new AsyncDisposableStack();
  const others = await Promise.all(Array.from({ length: 100 }, () => Client.open()));
  for (const other of others) stack.use(other);
  for (const [i, other] of others.entries()) other.request(WRQ, s.port, `f${i}`);
  const answers = await Promise.all(others.map((other) => other.next()));
  assert.equal(answers.filter(({ opcode }) => opcode === ACK).length, 64);
  assert.equal(answers.filter(({ opcode }) => opcode === ERROR).length, 36);
  assert.equal((await s.written()).length, 64, "temporary files");
  // As many again from one port, all different: each refused.
  for (let i = 0; i < 3000; i++) client.send(requestPacket(WRQ, `g${i}`), s.port);
  for (let got: Packet | undefined = await client.next(); got; got = await client.poll(300))
    assert.equal(got.opcode, ERROR);
  for (const [i, other] of others.entries())
    if (answers[i]!.opcode === ACK) other.send(packet(ERROR, 0, Buffer.from("enough\0")));
  while (s.events.filter(([kind, , reason]) => kind === "failed" && reason === "enough").length < 64)
    await new Promise((resolve) => s.server.once("failed", resolve));
  assert.deepEqual(await s.written(), []);
  await put(s.port, "after", Buffer.from("x"));
});

test("20,000 random packets, to the server and to its transfers, do no harm", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "f"), randomBytes(5000));
  await using client = await Client.open();
  const transferPort = async (opcode: number, options = {}) => {
    client.request(opcode, s.port, opcode === RRQ ? "f" : "g", options);
    for (;;) {
      const got = await client.poll(1000);
      if (got === undefined) return s.port;
      if ([DATA, ACK, OACK].includes(got.opcode)) return got.port;
    }
  };
  for (let round = 0; round < 40; round++) {
    const port = await transferPort(round % 2 ? RRQ : WRQ, round % 4 > 1 ? { windowsize: 9 } : {});
    for (let i = 0; i < 500; i++) {
      const bytes = randomBytes(Math.floor(Math.random() * 600));
      // Half of them with an opcode, and of those half with a plausible number.
      if (i % 2 && bytes.length > 3) bytes.writeUInt16BE(i % 8, 0);
      if (i % 4 > 1 && bytes.length > 3) bytes.writeUInt16BE(i % 5, 2);
      client.send(bytes, i % 3 ? port : s.port);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  const content = randomBytes(70_000);
  await put(s.port, "after", content, { blksize: 1024 });
  assert.ok(content.equals(await readFile(join(s.writable, "after"))));
  assert.equal((await get(s.port, "f")).length, 5000);
});

test("TFTP transfers that are begun and never finished keep no place from what comes later", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "f"), Buffer.alloc(6000, "x"));
  await using stack = new AsyncDisposableStack();
  // They would be waited for half an hour each.
  for (let index = 0; index < 64; index++) {
    const client = stack.use(await Client.open());
    client.request(index % 2 === 0 ? RRQ : WRQ, s.port, index % 2 === 0 ? "f" : `g${index}`, {
      timeout: 255,
    });
    assert.equal((await client.next()).opcode, OACK);
  }
  await using late = await Client.open();
  late.request(RRQ, s.port, "f");
  assert.equal((await late.next()).data.toString("latin1"), "Too many transfers\0");
  const now = performance.now.bind(performance);
  const clock = mock.method(performance, "now", () => now() + 15_000);
  try {
    assert.equal((await get(s.port, "f")).length, 6000);
    await put(s.port, "result", Buffer.from("it"));
    assert.equal(await readFile(join(s.writable, "result"), "utf8"), "it");
  } finally {
    clock.mock.restore();
  }
  await s.server.close();
  assert.deepEqual(await s.written(), ["result"]);
});
