/** Floods a TFTP server's port, given as argument, until it is killed: requests of all kinds, and rubbish. */
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { packet, requestPacket, RRQ, WRQ } from "./client.ts";

const port = Number(process.argv[2]);
const sockets = Array.from({ length: 80 }, () =>
  createSocket({ type: "udp4", lookup: (host, _options, done) => done(null, host, 4) }),
);
// Whatever comes is answered with something: an acknowledgement, or data.
for (const socket of sockets)
  socket.on("message", (message, from) => {
    socket.send(packet(message[1] === 3 ? 4 : 3, message.readUInt16BE(2)), from.port, from.address);
  });
process.stdout.write("flooding\n");
const flood = (i: number) => {
  for (const socket of sockets) {
    socket.send(requestPacket(RRQ, "f", { windowsize: 64, blksize: 1468, timeout: 1 }), port, "127.0.0.1");
    socket.send(requestPacket(WRQ, `g${i % 1000}`, { timeout: 1 }), port, "127.0.0.1");
    socket.send(randomBytes(100), port, "127.0.0.1");
  }
  setImmediate(flood, i + 1);
};
flood(0);
