/** Messages on what controllers answer, redirections, and the way there. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { Rejection, Unreachable } from "../../../agent/wire/answers.ts";
import { HttpClient, redirectionOf } from "../../../agent/wire/http.ts";
import { proxyFor } from "../../../agent/wire/proxies.ts";
import { FakeController } from "../fake-controller.ts";

const client = () =>
  new HttpClient({ connectTimeoutSeconds: 30, requestTimeoutSeconds: 60, requestRetries: 0, agent: "test" });
const body = Buffer.from(": 1\nagent: a\n");

test("a message names the URL's query without secrets, and all that an error manifest says", async () => {
  await using controller = await FakeController.start();
  controller.answer = () => ({
    status: 400,
    headers: { "content-type": "text/manifest;charset=utf-8" },
    body: ": 1\nstatus: 400\nmessage:\n\\\ninvalid task:\nno name\n\\\n",
  });
  const failed = client().postManifest(controller.url("/?build-task&key=s3cret"), body);
  await assert.rejects(failed, (error: Error) => {
    assert.ok(error instanceof Rejection);
    assert.equal(
      error.message,
      `Cannot send to ${controller.url("/?build-task&key=***")}: the controller answered 400: status: 400; message: invalid task: no name`,
    );
    return true;
  });
});

test("a message says that a proxy has answered, with the title of its page", async () => {
  await using controller = await FakeController.start();
  controller.answer = () => ({
    headers: { "content-type": "text/html" },
    body: "<html><head><title>Down for maintenance</title>",
  });
  await assert.rejects(client().postManifest(controller.url("/task"), body), {
    name: "Unreachable",
    message: `Cannot send to ${controller.url("/task")}: answered 200 with text/html, which is not the controller but something before it: Down for maintenance`,
  });
});

for (const status of [307, 308])
  test(`a redirection ${status} is followed with method and body, and signed for where it leads`, async () => {
    await using controller = await FakeController.start();
    controller.answer = ({ path }) =>
      path === "/old" ? { status, headers: { location: "/new" } } : { body: ": 1\nsession:\n" };
    const headers = (url: string) => Promise.resolve({ "croft-proof": new URL(url).pathname });
    await client().postManifest(controller.url("/old"), body, {}, headers);
    const [, second] = controller.received;
    assert.equal(second?.path, "/new");
    assert.equal(second.headers["croft-proof"], "/new");
    assert.deepEqual(second.body, body);
  });

test("redirections that change the method, lead nowhere, or go on and on are not followed", async () => {
  await using controller = await FakeController.start();
  for (const [status, location, requests] of [
    [302, "/new", 1],
    [307, "ftp://example.org/", 1],
    [308, "/old", 4],
  ] as const) {
    controller.answer = () => ({ status, headers: { location } });
    const before = controller.received.length;
    await assert.rejects(client().postManifest(controller.url("/old"), body), Unreachable);
    assert.equal(controller.received.length - before, requests);
  }
});

test("no redirection leads from an encrypted connection to one that is not", () => {
  const answer = (location: string) => ({ status: 307, headers: { location }, body: Buffer.alloc(0) });
  assert.equal(redirectionOf("https://a/", answer("http://b/")), undefined);
  assert.equal(redirectionOf("https://a/x", answer("/y")), "https://a/y");
  assert.equal(redirectionOf("http://a/", answer("https://b/")), "https://b/");
});

test("requests go by the proxy that the environment names, but for what no_proxy covers", () => {
  const environment = {
    http_proxy: "http://proxy:3128",
    HTTPS_PROXY: "proxy:3129",
    no_proxy: "inside.example, .lan,10.0.0.0/8 ::1",
  };
  const through = (url: string) => proxyFor(url, environment);
  assert.equal(through("http://farm.example/task"), "http://proxy:3128");
  assert.equal(through("https://farm.example/task"), "http://proxy:3129");
  for (const host of ["inside.example", "a.inside.example", "host.lan", "10.1.2.3", "[::1]:80"])
    assert.equal(through(`http://${host}/`), undefined, host);
  assert.equal(through("http://notinside.example/"), "http://proxy:3128");
  assert.equal(through("http://11.1.2.3/"), "http://proxy:3128");
  assert.equal(proxyFor("http://a/", { HTTP_PROXY: "http://p" }), undefined);
  assert.equal(proxyFor("http://a/", { all_proxy: "http://p", no_proxy: "*" }), undefined);
  assert.equal(proxyFor("http://a/", { ALL_PROXY: "http://p" }), "http://p");
});

test("a proxy gets the whole URL", async () => {
  await using proxy = await FakeController.start();
  const before = { ...process.env };
  process.env["http_proxy"] = proxy.url("");
  process.env["no_proxy"] = "";
  try {
    await client().postManifest("http://farm.invalid/task", body);
  } finally {
    for (const name of ["http_proxy", "no_proxy"])
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
  }
  assert.equal(proxy.received[0]?.path, "http://farm.invalid/task");
});

test("a proxy is asked for a tunnel to an encrypted controller, with the credentials of its URL", async () => {
  const proxy = createServer();
  const asked = new Promise<IncomingMessage>((resolve) => {
    proxy.once("connect", (request: IncomingMessage, socket: Duplex) => {
      resolve(request);
      socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    });
  });
  await once(proxy.listen(0, "127.0.0.1"), "listening");
  const { port } = proxy.address() as AddressInfo;
  const before = process.env["https_proxy"];
  process.env["https_proxy"] = `http://ann:secret@127.0.0.1:${port}`;
  try {
    const sent = client().postManifest("https://farm.invalid/task", body);
    await assert.rejects(
      sent,
      (error: Error) => error instanceof Unreachable && !error.message.includes("secret"),
    );
    const { url, headers } = await asked;
    assert.equal(url, "farm.invalid:443");
    assert.equal(headers["proxy-authorization"], `Basic ${Buffer.from("ann:secret").toString("base64")}`);
  } finally {
    if (before === undefined) delete process.env["https_proxy"];
    else process.env["https_proxy"] = before;
    proxy.close();
  }
});
