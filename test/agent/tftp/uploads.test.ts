import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { ACK, Client, DATA, ERROR, get, packet, put, TftpError, WRQ } from "./client.ts";
import { startServer } from "./server.ts";

const diskFull = (error: unknown) => error instanceof TftpError && error.code === 3;

test("an upload shows under its name only when it is whole; until then under a hidden one", async () => {
  await using s = await startServer();
  await writeFile(join(s.writable, "f"), "old");
  await using client = await Client.open();
  client.request(WRQ, s.port, "f");
  await client.next();
  client.data(1, Buffer.alloc(512, "n"));
  assert.equal((await client.next()).number, 1);
  assert.equal(await readFile(join(s.writable, "f"), "utf8"), "old");
  const [temporary] = (await s.written()).filter((name) => name !== "f");
  assert.match(temporary!, /^\.croft-upload-/);
  await assert.rejects(put(s.port, temporary!, Buffer.from("x")), TftpError);
  client.data(2, Buffer.from("ew"));
  assert.equal((await client.next()).number, 2);
  // The acknowledgement says that the file is there: nothing else to wait for.
  assert.equal(await readFile(join(s.writable, "f"), "utf8"), "n".repeat(512) + "ew");
  assert.deepEqual(await s.written(), ["f"]);
});

test("two uploads of one name at a time do not mix; the last to finish stays", async () => {
  await using s = await startServer();
  await using one = await Client.open();
  await using two = await Client.open();
  one.request(WRQ, s.port, "f");
  two.request(WRQ, s.port, "f");
  await one.next();
  await two.next();
  one.data(1, Buffer.alloc(512, "1"));
  two.data(1, Buffer.alloc(512, "2"));
  await one.next();
  await two.next();
  two.data(2, Buffer.from("two"));
  await two.next();
  assert.match(await readFile(join(s.writable, "f"), "utf8"), /^2+two$/);
  one.data(2, Buffer.from("one"));
  await one.next();
  assert.match(await readFile(join(s.writable, "f"), "utf8"), /^1+one$/);
});

test("an upload that the client gives up leaves nothing", async () => {
  await using s = await startServer();
  await using client = await Client.open();
  client.request(WRQ, s.port, "f");
  await client.next();
  client.data(1, Buffer.alloc(512));
  await client.next();
  client.send(packet(ERROR, 0, Buffer.from("changed my mind\0")));
  assert.deepEqual(await s.told("failed"), ["f", "changed my mind"]);
  assert.deepEqual(await s.written(), []);
});

test("a server that is closed while a file takes its name acknowledges the file's last block", async () => {
  await using s = await startServer();
  await using client = await Client.open();
  client.request(WRQ, s.port, "f");
  await client.next();
  client.data(1, Buffer.from("whole"));
  // As somebody does who looks whether the file is there.
  while (!existsSync(join(s.writable, "f"))) await setImmediate();
  await s.server.close();
  const { opcode, number } = await client.next();
  assert.deepEqual({ opcode, number }, { opcode: ACK, number: 1 });
});

test("closing a TFTP server ends its transfers and removes unfinished uploads", async () => {
  await using s = await startServer();
  await writeFile(join(s.readable, "f"), Buffer.alloc(5000));
  await using reader = await Client.open();
  await using writer = await Client.open();
  await using finished = await Client.open();
  finished.request(WRQ, s.port, "done");
  await finished.next();
  finished.data(1, Buffer.from("x"));
  await finished.next();
  reader.request(1, s.port, "f");
  writer.request(WRQ, s.port, "g");
  assert.equal((await reader.next()).opcode, DATA);
  await writer.next();
  writer.data(1, randomBytes(512));
  await writer.next();
  await s.server.close();
  await s.server.close(); // twice is harmless
  assert.deepEqual(await s.written(), ["done"]);
  assert.equal((await reader.next()).opcode, ERROR);
  assert.equal((await writer.next()).opcode, ERROR);
  assert.equal(await finished.poll(100), undefined, "a finished upload is not called off");
  // All sockets are free: the port can be taken again, by a program that does not share it.
  await using again = await startServer({ port: s.port });
  await put(again.port, "h", Buffer.from("x"));
});

test("uploads are limited in all, finished and unfinished; what is replaced or given up counts no more", async () => {
  await using s = await startServer({ uploadMaxBytes: 3000 });
  await put(s.port, "a", Buffer.alloc(1000));
  await put(s.port, "b", Buffer.alloc(1000));
  await assert.rejects(put(s.port, "c", Buffer.alloc(1001)), diskFull);
  await put(s.port, "c", Buffer.alloc(1000));
  await assert.rejects(put(s.port, "d", Buffer.alloc(1)), diskFull);
  await put(s.port, "d", Buffer.alloc(0));
  assert.deepEqual((await s.written()).sort(), ["a", "b", "c", "d"]);
  await using t = await startServer({ uploadMaxBytes: 3000 });
  await put(t.port, "a", Buffer.alloc(1500));
  await put(t.port, "a", Buffer.alloc(10));
  await put(t.port, "b", Buffer.alloc(2990));
});

test("an upload that announces more than may be left is refused before it begins", async () => {
  await using s = await startServer({ uploadMaxBytes: 3000 });
  await assert.rejects(put(s.port, "a", Buffer.alloc(1), { tsize: 3001 }), diskFull);
  assert.deepEqual(await s.written(), []);
});

test("an upload that cannot be given its name is reported as failed, to the client too", async () => {
  await using s = await startServer();
  await using client = await Client.open();
  client.request(WRQ, s.port, "f");
  await client.next();
  await mkdir(join(s.writable, "f"));
  client.data(1, Buffer.from("x"));
  const got = await client.next();
  assert.deepEqual([got.opcode, got.number], [ERROR, 2]);
  await s.told("failed");
  assert.deepEqual(await s.written(), ["f"]);
  assert.equal(s.events.filter(([kind]) => kind === "complete").length, 0);
});

test("a client that does not wait for acknowledgements gains nothing", async () => {
  await using s = await startServer();
  await using client = await Client.open();
  client.request(WRQ, s.port, "f", { blksize: 8 });
  await client.next();
  for (let n = 1; n <= 5; n++) client.data(n, Buffer.from(`block ${n} `));
  client.data(6, Buffer.from("end"));
  for (let n = 1; n <= 6; n++)
    assert.deepEqual(await client.next().then(({ opcode, number }) => [opcode, number]), [ACK, n]);
  assert.equal(await get(s.port, "f").catch((error: TftpError) => error.code), 1, "written, not readable");
});

test("a TFTP server that cannot start says why", async () => {
  await using s = await startServer();
  await assert.rejects(
    startServer({ port: s.port }),
    /Cannot start a TFTP server on .*: the address is in use/,
  );
  await assert.rejects(startServer({ writable: "/nonexistent" }), /no such file or directory/);
  await assert.rejects(startServer({ address: "::1" }), /IPv4/);
});
