/** Whose socket a datagram came from, by what the kernel says in /proc. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { endianness } from "node:os";
import { test } from "node:test";
import { findSockets, readUdpTable, socketsOf } from "../../os/network/socket-owner.ts";

const loopback = endianness() === "LE" ? "0100007F" : "7F000001";
const head =
  "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             \n";

/** A line of the table: bound to an address, connected to another. */
function line(local: string, inode: number, uid = 0, remote = "00000000:0000"): string {
  const rest = `07 00000000:00000000 00:00000000 00000000 ${String(uid).padStart(5)}        0 ${inode} 2 00000000409eecf2 0`;
  return ` 6336: ${local} ${remote} ${rest}\n`.padEnd(127);
}

const asker = { address: "127.0.0.1", port: 0xb527 };
const inodes = (table: string) => findSockets(table, [asker])[0]!.map(({ inode }) => inode);

test("the socket is found by address and port, at its own address or at all of them", () => {
  assert.deepEqual(findSockets(head + line(`${loopback}:B527`, 17, 65534), [asker]), [
    [{ inode: "17", uid: 65534 }],
  ]);
  assert.deepEqual(inodes(head + line("00000000:B527", 17)), ["17"]);
});

for (const [what, text] of [
  ["another port", line(`${loopback}:B528`, 17)],
  ["another address", line(endianness() === "LE" ? "0200007F:B527" : "7F000002:B527", 17)],
  ["a peer's port, and not its own", line(`${loopback}:B528`, 17, 0, `${loopback}:B527`)],
  ["no inode", line(`${loopback}:B527`, 0)],
  ["fewer fields than there should be", ` 6336: ${loopback}:B527 00000000:0000 07\n`],
] as const)
  test(`a socket with ${what} is not the sender`, () => {
    assert.deepEqual(inodes(head + text), []);
  });

test("all sockets that share a port are found", () => {
  assert.deepEqual(inodes(head + line("00000000:B527", 18) + line(`${loopback}:B527`, 17)), ["17", "18"]);
});

test("a real socket is found in this host's table, and among this process's descriptors only", async () => {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const other = spawn("sleep", ["60"]);
  try {
    const sources = [{ address: "127.0.0.1", port: socket.address().port }];
    const [found, ...more] = findSockets(await readUdpTable(), sources).flat();
    assert.deepEqual([found?.uid, more], [process.getuid!(), []]);
    assert.ok((await socketsOf(process.pid)).has(found!.inode));
    assert.ok(!(await socketsOf(other.pid!)).has(found!.inode));
  } finally {
    socket.close();
    other.kill();
    await once(other, "exit");
  }
  await assert.rejects(socketsOf(other.pid!), { code: "ENOENT" });
});
