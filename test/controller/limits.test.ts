/** What of a log is in a page, and streams for clients that are slow or gone. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { stat, writeFile } from "node:fs/promises";
import { request, type IncomingMessage } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { fastify, type FastifyReply } from "fastify";
import { logExcerpt } from "../../controller/dashboard/log/log-excerpt.ts";
import { EventStream, answerWithEvents } from "../../controller/event-stream.ts";
import { boundSlowReaders } from "../../controller/slow-readers.ts";
import { followerLimit } from "../../controller/routes/followers.ts";
import { addBinaryBodies, RouteBodies, type Refusal } from "../../controller/routes/body.ts";
import { silentLog } from "../../os/log.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";

describe("the part of a log that is in a page", () => {
  test("is bounded in bytes and in lines, and starts with a whole line of the right number", async () => {
    await using directory = await temporaryDirectory("croft-test-excerpt-");
    const path = join(directory.path, "log");
    const log = {
      size: async () => (await stat(path)).size,
      read: (start: number, end: number) => createReadStream(path, { start, end: end - 1 }),
    };
    const excerpt = async (text: string, share?: number) => {
      await writeFile(path, text);
      const { lines, tail, skipped, position } = await logExcerpt(log, "o", share);
      const numbers = [...lines.text.matchAll(/id="o-L(\d+)"/g)].map(([, number]) => Number(number));
      return { numbers, html: lines.text + tail.text, skipped, position };
    };
    const empty = await excerpt("\n".repeat(300_000));
    assert.equal(empty.numbers.length, 5000);
    assert.equal(empty.numbers.at(-1), 300_000);
    assert.equal(empty.skipped, 295_000);
    assert.equal(empty.position.offset, 300_000);
    const shared = await excerpt("\n".repeat(300_000), 40);
    assert.equal(shared.numbers.length, 500);
    const long = await excerpt(`${"x".repeat(99)}\n`.repeat(6000));
    assert.ok(long.numbers.length > 2600 && long.numbers.length <= 2622);
    assert.equal(long.skipped, 6000 - long.numbers.length);
    const short = await excerpt("a\nb\nc");
    assert.deepEqual(short.numbers, [1, 2]);
    assert.match(short.html, /id="o-L3"/);
    assert.equal(short.skipped, 0);
    assert.equal((await excerpt("")).html, "");
  });
});

describe("a stream of events", () => {
  async function served(handle: (reply: FastifyReply) => Promise<void>) {
    const server = fastify({ forceCloseConnections: true });
    server.get("/", (_request, reply) => handle(reply));
    await server.listen({ host: "127.0.0.1", port: 0 });
    const { port } = server.server.address() as AddressInfo;
    return {
      port,
      get: () =>
        connect(port, "127.0.0.1")
          .on("error", () => {})
          .end("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
      [Symbol.asyncDispose]: () => server.close(),
    };
  }

  test("is over at once for a client that left before it began", async () => {
    let over: boolean | undefined;
    const done = Promise.withResolvers<void>();
    await using server = await served(async (reply) => {
      const closed = once(reply.raw, "close");
      reply.raw.socket?.destroy();
      await closed;
      using stream = new EventStream(reply);
      over = stream.signal.aborted;
      done.resolve();
    });
    server.get();
    await done.promise;
    assert.equal(over, true);
  });

  test("is cut off when the client takes nothing for too long, and keeps no more than one event for it", async () => {
    const done = Promise.withResolvers<void>();
    let most = 0;
    await using server = await served(async (reply) => {
      using stream = new EventStream(reply, 200);
      while (!stream.signal.aborted) {
        const sent = stream.send("x", "y".repeat(100_000));
        most = Math.max(most, reply.raw.writableLength);
        await sent;
      }
      done.resolve();
    });
    const client = connect(server.port, "127.0.0.1").on("error", () => {});
    client.pause();
    client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await done.promise;
    client.destroy();
    assert.ok(most < 150_000, `${most} bytes`);
  });

  test("ends when what makes its events fails, so that the client asks again", async () => {
    await using server = await served((reply) =>
      answerWithEvents(reply, silentLog(), () => Promise.reject(new Error("no database"))),
    );
    const response = await fetch(`http://127.0.0.1:${server.port}/`);
    assert.equal(await response.text(), "retry: 1000\n\n");
  });
});

describe("answers that nobody takes", () => {
  async function served(mostBytes: number) {
    const server = fastify({ forceCloseConnections: true });
    boundSlowReaders(server, mostBytes);
    const cut: string[] = [];
    let handled = 0;
    server.get("/:name", async (request, reply) => {
      handled++;
      const { name } = request.params as { name: string };
      reply.raw.once("close", () => reply.raw.writableFinished || cut.push(name));
      return "x".repeat(16 << 20); // more than systems keep for a connection
    });
    await server.listen({ host: "127.0.0.1", port: 0 });
    const { port } = server.server.address() as AddressInfo;
    return {
      url: `http://127.0.0.1:${port}`,
      cut,
      handled: () => handled,
      ask: (...names: string[]) =>
        connect(port, "127.0.0.1")
          .on("error", () => {})
          .pause()
          .write(names.map((name) => `GET /${name} HTTP/1.1\r\nHost: x\r\n\r\n`).join("")),
      [Symbol.asyncDispose]: () => server.close(),
    };
  }
  const turnsUntil = async (holds: () => boolean) => {
    while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
  };

  test("are bounded together: who has stood still for longest is cut off, who reads is served", async () => {
    await using server = await served(40 << 20);
    for (const [at, name] of ["first", "second", "third"].entries()) {
      server.ask(name);
      await turnsUntil(() => server.handled() > at);
    }
    await turnsUntil(() => server.cut.length > 0);
    const answer = await (await fetch(`${server.url}/reader`)).text();
    assert.equal(answer.length, 16 << 20);
    assert.equal(server.cut[0], "first");
  });

  test("are few on one connection, however many requests are sent at once", async () => {
    await using server = await served(1 << 30);
    server.ask(...Array.from({ length: 200 }, (_, at) => `n${at}`));
    await turnsUntil(() => server.cut.length > 0);
    await (await fetch(`${server.url}/reader`)).text();
    assert.ok(server.handled() <= 17, `${server.handled()}`);
  });
});

test("bodies in memory are bounded one by one and together", async () => {
  await using server = fastify({ bodyLimit: 1000 });
  addBinaryBodies(server, ["text/manifest"]);
  const gate = Promise.withResolvers<void>();
  let waiting = 0;
  server.post("/", { config: { bodies: new RouteBodies(1500) } }, async (request) => {
    waiting++;
    await gate.promise;
    return { bytes: (request.body as Buffer).length };
  });
  const url = await server.listen({ host: "127.0.0.1", port: 0 });
  const send = async (bytes: number, type = "text/manifest") => {
    const init = { method: "POST", headers: { "content-type": type }, body: "x".repeat(bytes) };
    return (await fetch(url, init)).status;
  };
  assert.equal(await send(1001), 413);
  assert.equal(await send(10, "application/json"), 415);
  const first = send(1000);
  while (waiting === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(await send(600), 503);
  gate.resolve();
  assert.equal(await first, 200);
  while ((await send(1000)) !== 200) await new Promise((resolve) => setImmediate(resolve));
});

describe("a body that is looked at from its beginning", () => {
  const admitted: number[] = [];

  async function serve(refused: Refusal | undefined, bodyLimit = 50_000_000) {
    const server = fastify({ bodyLimit, forceCloseConnections: true });
    addBinaryBodies(server, ["text/manifest"]);
    const bodies = new RouteBodies(1000, async (beginning, whole) => {
      admitted.push(beginning.length);
      if (!whole && beginning.length < 10) return "more";
      return refused;
    });
    server.post("/", { config: { bodies } }, async (request) => ({
      bytes: (request.body as Buffer).length,
    }));
    await server.listen({ host: "127.0.0.1", port: 0 });
    const { port } = server.server.address() as AddressInfo;
    return { server, bodies, port, [Symbol.asyncDispose]: () => server.close() };
  }

  test("is refused before the rest has come, and none of it is kept or counted", async () => {
    await using served = await serve({ status: 410, reason: "nobody knows it" });
    const client = request({
      port: served.port,
      method: "POST",
      headers: { "content-type": "text/manifest" },
    });
    client.write("x".repeat(20));
    const [response] = (await once(client, "response")) as [IncomingMessage];
    assert.equal(response.statusCode, 410);
    assert.equal(response.headers.connection, "keep-alive", "a close would cut off the answer");
    assert.match(await text(response), /nobody knows it/);
    assert.equal(served.bodies.held, 0);
    const drained = new Promise((resolve) => client.end("y".repeat(20_000_000), () => resolve(true)));
    assert.equal(await drained, true);
    client.destroy();
  });

  test("is refused once it is too large; the rest is read, so that its sender gets the answer", async () => {
    await using served = await serve(undefined, 1000);
    const client = request({
      port: served.port,
      method: "POST",
      headers: { "content-type": "text/manifest" },
    });
    client.write("x".repeat(1001));
    const [response] = (await once(client, "response")) as [IncomingMessage];
    assert.equal(response.statusCode, 413);
    assert.equal(response.headers.connection, "keep-alive", "a close would cut off the answer");
    assert.match(await text(response), /the body is longer than 1000 bytes/);
    assert.equal(served.bodies.held, 0);
    await new Promise<void>((resolve) => client.end("y".repeat(20_000_000), resolve));
    client.destroy();
  });

  test("is looked at again when more has come, but not after each byte", async () => {
    await using served = await serve(undefined);
    admitted.length = 0;
    const client = request({
      port: served.port,
      method: "POST",
      headers: { "content-type": "text/manifest" },
    });
    for (let count = 0; count < 9; count++) {
      client.write("x");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    client.end("x".repeat(500));
    const [response] = (await once(client, "response")) as [IncomingMessage];
    assert.deepEqual(JSON.parse(await text(response)), { bytes: 509 });
    assert.ok(admitted.length < 7, `looked at ${admitted.length} times`);
  });
});

test("followers are counted in all and by address, and those who leave make room", async () => {
  await using server = fastify({ trustProxy: "loopback", forceCloseConnections: true });
  const limits = { mostFollowers: 3, mostFollowersPerAddress: 2 };
  server.get("/", { onRequest: followerLimit(limits) }, async (_request, reply) => {
    await answerWithEvents(reply, silentLog(), (stream) => once(stream.signal, "abort").then(() => {}));
  });
  const url = await server.listen({ host: "127.0.0.1", port: 0 });
  const following: AbortController[] = [];
  const follow = async (from: string) => {
    const control = new AbortController();
    const headers = { "x-forwarded-for": from };
    const response = await fetch(url, { headers, signal: control.signal });
    if (response.status === 200) following.push(control);
    const reason = response.status === 200 ? "" : await response.text();
    return { status: response.status, retryAfter: response.headers.get("retry-after"), reason };
  };
  assert.equal((await follow("2001:db8::1")).status, 200);
  assert.equal((await follow("2001:db8:0:0:5::1")).status, 200);
  const third = await follow("2001:db8::2");
  assert.deepEqual([third.status, third.retryAfter], [429, "30"]);
  assert.match(third.reason, /2 follow this controller's builds from your address/);
  assert.equal((await follow("2001:db8:1::1")).status, 200);
  const fourth = await follow("192.0.2.1");
  assert.deepEqual([fourth.status, fourth.retryAfter], [503, "30"]);
  assert.match(fourth.reason, /3 follow this controller's builds/);
  following[0]!.abort();
  while ((await follow("2001:db8::3")).status !== 200) await new Promise((resolve) => setImmediate(resolve));
  for (const one of following) one.abort();
});
