import assert from "node:assert/strict";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { Rejection, Unreachable } from "../../../agent/wire/answers.ts";
import { HttpClient } from "../../../agent/wire/http.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

/** Downloads from a server that answers so; what came of it, what it was asked, and which files there are. */
async function download(
  answers: readonly RequestListener[],
  mostBytes = 100,
  signal = AbortSignal.timeout(60_000),
) {
  await using directory = await temporaryDirectory("croft-test-download-");
  const asked: string[] = [];
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      asked.push(`${request.method} ${request.headers["croft-proof"]} ${body}`);
      answers[Math.min(asked.length, answers.length) - 1]!(request, response);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const limits = {
    connectTimeoutSeconds: 30,
    requestTimeoutSeconds: 30,
    requestRetries: answers.length - 1,
    agent: "test",
  };
  const path = join(directory.path, "file");
  let proofs = 0;
  const headers = async () => ({ "croft-proof": String(++proofs) });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  try {
    const request = { body: Buffer.from("x"), headers, path, mostBytes };
    const bytes = await new HttpClient(limits)
      .download(url, request, signal)
      .catch((error: unknown) => error);
    const files = await readdir(directory.path);
    return { bytes, asked, content: files.length > 0 ? await readFile(path, "utf8") : undefined };
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

const whole: RequestListener = (_, response) => response.end("content");
const busy: RequestListener = (_, response) =>
  response.writeHead(503, { "content-type": "text/plain" }).end("later");
const cut: RequestListener = (_, response) => {
  response.writeHead(200, { "content-length": "7" }).write("con");
  setImmediate(() => response.destroy());
};

test("a download that is cut off, or comes at a bad time, is tried again from its beginning, proven anew", async () => {
  const { bytes, content, asked } = await download([busy, cut, whole]);
  assert.deepEqual([bytes, content], [7, "content"]);
  assert.deepEqual(asked, ["POST 1 x", "POST 2 x", "POST 3 x"]);
});

test("no part of a download is left when it comes to nothing", async () => {
  const { bytes, content, asked } = await download([cut, cut]);
  assert.ok(bytes instanceof Unreachable, String(bytes));
  assert.deepEqual([content, asked.length], [undefined, 2]);
  const large = await download([(_, response) => response.end("x".repeat(101))]);
  assert.match(String(large.bytes), /it is larger than 100 bytes/);
  assert.equal(large.content, undefined);
});

test("a refusal for good is not asked about again, and what is aborted ends at once", async () => {
  const refusing: RequestListener = (_, response) =>
    response.writeHead(410, { "content-type": "application/json" }).end('{"error":"over"}');
  const { bytes, asked } = await download([refusing]);
  assert.ok(bytes instanceof Rejection, String(bytes));
  assert.equal(asked.length, 1);
  const abort = new AbortController();
  const reason = new Error("cancelled");
  const silent: RequestListener = (_, response) => {
    response.write("a");
    abort.abort(reason);
  };
  const aborted = await download([silent], 100, abort.signal);
  assert.deepEqual([aborted.bytes, aborted.content], [reason, undefined]);
});
