/**
 * Run with few descriptors (`prlimit --nofile`): serves TFTP while none are left, then again with descriptors.
 * Prints what it saw; the test reads it.
 */
import { closeSync, openSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client, get, put, requestPacket, RRQ, WRQ } from "./client.ts";
import { startServer } from "./server.ts";

await using s = await startServer();
await writeFile(join(s.readable, "f"), "content");
await get(s.port, "f"); // all modules and threads are there
await s.told("read");
await using client = await Client.open();

const taken: number[] = [];
const takeAll = () => {
  try {
    for (;;) taken.push(openSync("/dev/null", "r"));
  } catch {
    // none left
  }
};
takeAll();
// The first without any, then with enough for the file but not for the socket.
for (const free of [0, 1, 2])
  for (const [opcode, name] of [
    [RRQ, "f"],
    [WRQ, "g"],
  ] as const) {
    for (let i = 0; i < free; i++) closeSync(taken.pop()!);
    client.send(requestPacket(opcode, name), s.port);
    const got = await client.next();
    process.stdout.write(
      `free ${free}: opcode ${got.opcode} ${got.data.toString("latin1").replaceAll("\0", "")}\n`,
    );
    takeAll();
  }
for (const fd of taken) closeSync(fd);
await put(s.port, "h", Buffer.from("x"));
process.stdout.write(`after: ${(await get(s.port, "f")).toString()} ${(await s.written()).includes("h")}\n`);
