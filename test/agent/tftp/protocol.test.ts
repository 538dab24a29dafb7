import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { ACK, Client, DATA, ERROR, get, OACK, put, readOptions, RRQ, WRQ } from "./client.ts";
import { startServer } from "./server.ts";

for (const size of [0, 1, 511, 512, 513, 1024, 300_000])
  test(`TFTP carries ${size} bytes either way`, async () => {
    await using s = await startServer();
    const content = randomBytes(size);
    await writeFile(join(s.readable, "f"), content);
    for (const options of [{}, { blksize: 1024 }, { blksize: 100, windowsize: 7 }, { tsize: 0 }]) {
      assert.ok(content.equals(await get(s.port, "f", options)));
      await put(s.port, "g", content, options);
      assert.ok(content.equals(await readFile(join(s.writable, "g"))));
    }
    assert.deepEqual(await s.told("complete"), ["g", size]);
    assert.deepEqual(await s.told("read"), ["f", size]);
    assert.equal(s.events.filter(([kind]) => kind === "failed").length, 0);
  });

// In lock step: tftp-clients.real.ts, with files of 131,072 blocks.
test("TFTP block numbers begin again after 65535", async () => {
  await using s = await startServer();
  const content = randomBytes(8 * 70_000 + 3);
  await writeFile(join(s.readable, "f"), content);
  const options = { blksize: 8, windowsize: 48 };
  assert.ok(content.equals(await get(s.port, "f", options)));
  await put(s.port, "g", content, options);
  assert.ok(content.equals(await readFile(join(s.writable, "g"))));
});

test("TFTP grants the options it knows, within bounds, and leaves out the others", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "f"), Buffer.alloc(5000));
  const granted = async (options: Record<string, unknown>) => {
    await using client = await Client.open();
    client.request(RRQ, s.port, "f", options);
    const got = await client.next();
    client.send(Buffer.from([0, ERROR, 0, 0, 0]));
    return got.opcode === OACK ? readOptions(got.data) : got.opcode;
  };
  assert.deepEqual(await granted({ BlkSize: 1400, TSIZE: 0, timeout: 3, windowsize: 4, colour: "red" }), {
    blksize: "1400",
    tsize: "5000",
    timeout: "3",
    windowsize: "4",
  });
  assert.deepEqual(await granted({ blksize: 65464, windowsize: 65535 }), {
    blksize: "65464",
    windowsize: "2",
  });
  assert.deepEqual(await granted({ windowsize: 65535 }), { windowsize: "64" });
  assert.deepEqual(await granted({ tsize: 77 }), { tsize: "5000" });
  for (const bad of [
    { blksize: 7 },
    { blksize: 65465 },
    { blksize: "0x10" },
    { timeout: 0 },
    { timeout: 256 },
  ])
    assert.equal(await granted(bad), DATA);
  assert.equal(await granted({ __proto__x: 1, constructor: 1 }), DATA);
});

test("TFTP leaves the size of an empty file out, which curl takes for malformed", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "f"), "");
  await using client = await Client.open();
  client.request(RRQ, s.port, "f", { tsize: 0, blksize: 1024 });
  assert.deepEqual(readOptions((await client.next()).data), { blksize: "1024" });
  await using other = await Client.open();
  other.request(RRQ, s.port, "f", { tsize: 0 });
  assert.equal((await other.next()).opcode, DATA);
});

test("TFTP sends again after the negotiated timeout, for reads and writes", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "f"), Buffer.alloc(5000));
  await using reader = await Client.open();
  await using writer = await Client.open();
  reader.request(RRQ, s.port, "f", { timeout: 2 });
  writer.request(WRQ, s.port, "g", { timeout: 2 });
  await Promise.all(
    [reader, writer].map(async (client) => {
      const first = await client.next();
      const startMs = performance.now();
      const again = await client.next();
      const waitedMs = performance.now() - startMs;
      assert.deepEqual(again, first);
      assert.ok(waitedMs > 1900, `sent again after ${waitedMs} ms`); // without the option: after 1000
    }),
  );
});

test("TFTP answers with the error's code", async () => {
  await using s = await startServer({ uploadMaxBytes: 1000 });
  await using client = await Client.open();
  const answer = async (bytes: Buffer) => {
    client.send(bytes, s.port);
    const got = await client.next();
    assert.equal(got.opcode, ERROR);
    assert.ok(got.data.at(-1) === 0);
    return got.number;
  };
  const bytes = (text: string) => Buffer.from(text, "latin1");
  assert.equal(await answer(bytes("\0\x01none\0octet\0")), 1);
  assert.equal(await answer(bytes("\0\x01../x\0octet\0")), 2);
  assert.equal(await answer(bytes("\0\x02f\0octet\0tsize\x001001\0")), 3);
  assert.equal(await answer(bytes("\0\x01f\0netascii\0")), 4);
  assert.equal(await answer(bytes("\0\x01f\0mail\0")), 4);
  assert.equal(await answer(bytes("\0\x01f\0octet")), 4, "no NUL");
  assert.equal(await answer(bytes("\0\x01f")), 4, "no mode");
  assert.equal(await answer(bytes("\0\x01f\0octet\0blksize\0")), 4, "option without value");
  assert.equal(await answer(bytes("\0\x01" + "f".repeat(510) + "\0octet\0")), 4, "longer than 512 bytes");
  assert.equal(await answer(bytes("\0\x03\0\x01data")), 4);
  assert.equal(await answer(bytes("\0\x09")), 4);
});

test("a TFTP read goes on where a window has a hole, and after a lost window", async () => {
  await using s = await startServer();
  const content = randomBytes(8 * 512 + 5);
  await writeFile(join(s.readable, "f"), content);
  await using client = await Client.open();
  client.request(RRQ, s.port, "f", { windowsize: 4, timeout: 1 });
  assert.equal((await client.next()).opcode, OACK);
  client.ack(0);
  const numbers = async (count: number) => {
    const got: number[] = [];
    while (got.length < count) got.push((await client.next()).number);
    return got;
  };
  assert.deepEqual(await numbers(4), [1, 2, 3, 4]);
  client.ack(2);
  assert.deepEqual(await numbers(4), [3, 4, 5, 6]);
  client.ack(2); // the first of the window is missing
  assert.deepEqual(await numbers(4), [3, 4, 5, 6]);
  client.ack(2); // once is enough until the timer says otherwise
  assert.deepEqual(await numbers(4), [3, 4, 5, 6], "after the timeout");
  client.ack(6);
  assert.deepEqual(await numbers(3), [7, 8, 9]);
  client.ack(9);
  assert.deepEqual(await s.told("read"), ["f", content.length]);
});

test("a TFTP write asks for the block it misses in a window, once", async () => {
  await using s = await startServer();
  await using client = await Client.open();
  client.request(WRQ, s.port, "f", { windowsize: 4, blksize: 8 });
  assert.equal((await client.next()).opcode, OACK);
  const block = (n: number) => Buffer.from(`block ${n} `);
  const send = (...blocks: number[]) => blocks.forEach((n) => client.data(n, block(n)));
  send(1, 3, 4);
  const gap = await client.next();
  assert.deepEqual([gap.opcode, gap.number], [ACK, 1]);
  assert.equal(await client.poll(200), undefined, "no second complaint");
  send(2, 3, 4, 5);
  assert.equal((await client.next()).number, 5);
  send(2, 3, 4, 5); // the acknowledgement was lost: one answer
  assert.equal((await client.next()).number, 5);
  assert.equal(await client.poll(200), undefined);
  client.data(6, Buffer.from("end"));
  assert.equal((await client.next()).number, 6);
  const expected = [1, 2, 3, 4, 5].map((n) => `block ${n} `).join("") + "end";
  assert.equal(await readFile(join(s.writable, "f"), "utf8"), expected);
});
