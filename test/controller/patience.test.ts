/** Requests whose bodies are sent drop by drop. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fastify } from "fastify";
import { addBinaryBodies, RouteBodies, type Refusal } from "../../controller/routes/body.ts";
import { bodiesInTime } from "../../controller/routes/patience.ts";

test("a body that does not come in time ends its connection, but not that of a sender who is known", async () => {
  const patienceMs = 200;
  await using server = fastify();
  server.addHook("onRequest", bodiesInTime(patienceMs));
  addBinaryBodies(server, ["text/plain"]);
  const admit = async (beginning: Buffer): Promise<Refusal | undefined> =>
    beginning.toString() === "known" ? undefined : { status: 410, reason: "nobody knows you" };
  for (const [path, bodies] of Object.entries({
    "/anybody": new RouteBodies(1000),
    "/known": new RouteBodies(1000, admit),
  }))
    server.post(path, { config: { bodies } }, () => "taken\n");
  await server.listen({ host: "127.0.0.1", port: 0 });
  const { port } = server.server.address() as AddressInfo;
  const begin = async (path: string, beginning: string) => {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    const head = ["Host: localhost", "Content-Type: text/plain", "Content-Length: 7", "Connection: close"];
    socket.write(`POST ${path} HTTP/1.1\r\n${head.join("\r\n")}\r\n\r\n${beginning}`);
    return { socket, answer: text(socket).catch(() => "") };
  };
  const known = await begin("/known", "known");
  const strangers = [await begin("/anybody", "begun"), await begin("/known", "other")];
  for (const { answer } of strangers) assert.doesNotMatch(await answer, /taken/);
  known.socket.write("!\n");
  assert.match(await known.answer, /^HTTP\/1\.1 200 .*taken/s);
});
