import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { Rejection, Unreachable } from "../../../agent/wire/answers.ts";
import { HttpClient } from "../../../agent/wire/http.ts";
import { freePort } from "../../fixtures/ports.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

async function posting(answer: RequestListener, retries: number) {
  await using stack = new AsyncDisposableStack();
  const { path: directory } = stack.use(await temporaryDirectory("croft-test-multipart-"));
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.defer(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const times = { connectTimeoutSeconds: 60, requestTimeoutSeconds: 60, requestRetries: retries };
  const client = new HttpClient({ ...times, agent: "test" });
  const held = stack.move();
  return {
    post: async (contents: Record<string, string | Buffer>) => {
      const files: { path: string; sha256: string }[] = [];
      for (const [name, content] of Object.entries(contents)) {
        const path = join(directory, name);
        await writeFile(path, content);
        files.push({ path, sha256: `digest of ${name}` });
      }
      return client.postArtifacts(url, { session: "s", challenge: "c" }, files);
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

test("artifacts arrive as they are, again after an attempt that was put off", async () => {
  const received: FormData[] = [];
  await using agent = await posting((request, response) => {
    void buffer(request).then(async (body) => {
      const headers = { "content-type": request.headers["content-type"]! };
      received.push(await new Response(body, { headers }).formData());
      response.writeHead(received.length === 1 ? 503 : 204).end();
    });
  }, 1);
  const long = Buffer.alloc(300_000, "0123456789\r\n--");
  await agent.post({ 'a "b".tar.gz': long, empty: "" });
  assert.equal(received.length, 2);
  for (const form of received) {
    assert.deepEqual([...form.keys()], ["session", "challenge", "sha256", "file", "sha256", "file"]);
    assert.deepEqual([form.get("session"), form.get("challenge")], ["s", "c"]);
    assert.deepEqual(form.getAll("sha256"), ['digest of a "b".tar.gz', "digest of empty"]);
    const [first, second] = form.getAll("file") as File[];
    assert.deepEqual([first!.name, second!.name], ['a "b".tar.gz', "empty"]);
    assert.deepEqual(Buffer.from(await first!.arrayBuffer()), long);
    assert.equal(second!.size, 0);
  }
});

test("artifacts that nobody takes, as nobody is there, are a failure to handle, after as many tries as were told", async () => {
  const port = await freePort();
  const times = { connectTimeoutSeconds: 60, requestTimeoutSeconds: 60, requestRetries: 1 };
  const client = new HttpClient({ ...times, agent: "test" });
  await using directory = await temporaryDirectory("croft-test-multipart-");
  const path = join(directory.path, "a");
  await writeFile(path, Buffer.alloc(150_000));
  const posting = client.postArtifacts(`http://127.0.0.1:${port}/`, { session: "s" }, [
    { path, sha256: "d" },
  ]);
  await assert.rejects(posting, Unreachable);
});

test("artifacts are sent again after as long as a busy controller asks for, but not in this round if that is long", async () => {
  const came: number[] = [];
  const answers = [
    { status: 503, after: "2" },
    { status: 503, after: "600" },
  ];
  await using agent = await posting((request, response) => {
    request.resume().on("end", () => {
      const { status, after } = answers[came.push(performance.now()) - 1]!;
      response.writeHead(status, { "retry-after": after, "content-type": "text/plain" }).end("busy\n");
    });
  }, 5);
  await assert.rejects(agent.post({ a: "a" }), /the controller answered 503: busy/);
  assert.equal(came.length, 2);
  assert.ok(came[1]! - came[0]! >= 1900);
});

for (const [how, answer, expected] of [
  [
    "refused",
    (_, response) =>
      void response.writeHead(410, { connection: "close", "content-type": "text/plain" }).end("gone\n"),
    Rejection,
  ],
  ["cut off", (request) => void request.socket.destroy(), Unreachable],
] as [string, RequestListener, typeof Rejection | typeof Unreachable][])
  test(`artifacts that are ${how} before they are sent are a failure to handle, and no end of the agent`, async () => {
    await using agent = await posting(answer, 0);
    for (const bytes of [300, 3_000_000])
      for (let count = 1; count <= 10; count += 1)
        await assert.rejects(agent.post({ a: Buffer.alloc(bytes), b: Buffer.alloc(bytes) }), expected);
  });
