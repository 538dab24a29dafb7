/** A controller below a path of a host, behind a proxy that takes the path off. */
import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { makeFarm, submit } from "../farm.ts";

/** Passes on what is below `/farm`, and nothing else. */
async function startProxy(): Promise<{ url: string; to(url: string): void } & AsyncDisposable> {
  let target = "";
  const server = createServer((from, answer) => {
    const [, path] = /^\/farm(\/.*)$/.exec(from.url!) ?? [];
    if (path === undefined)
      return void answer.writeHead(404, { "content-type": "text/plain" }).end("not here");
    const passed = request(target + path, { method: from.method, headers: from.headers }, (got) => {
      answer.writeHead(got.statusCode!, got.headers);
      got.pipe(answer);
    });
    from.pipe(passed);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/farm`,
    to: (url) => (target = url),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

test("every link, style, script, event stream and redirect of a controller below a path stays below it", async () => {
  await using proxy = await startProxy();
  await using farm = await makeFarm();
  await using controller = await farm.start("--public-url", proxy.url);
  proxy.to(controller.url);
  const id = await submit(controller.url);
  const start = await fetch(`${proxy.url}/?state=queued`, { redirect: "manual" });
  assert.equal(
    new URL(start.headers.get("location")!, `${proxy.url}/`).href,
    `${proxy.url}/builds?state=queued`,
  );
  for (const path of ["/", "/builds", `/builds/${id}`, "/builds/999"]) {
    const page = await (await fetch(proxy.url + path, { headers: { accept: "text/html" } })).text();
    const links = [...page.matchAll(/\b(href|src|action|data-changes|data-follow)="([^"#]+)"/g)];
    assert.ok(links.length >= 5, page);
    for (const { index, 2: link } of links) {
      const element = page.slice(page.lastIndexOf("<", index), page.indexOf(">", index));
      const address = new URL(link!.replaceAll("&amp;", "&"), proxy.url + path);
      if (address.origin !== new URL(proxy.url).origin) continue;
      const abort = new AbortController();
      const method = /\bmethod="post"/i.test(element) ? "POST" : "GET";
      const answer = await fetch(address, { method, signal: abort.signal });
      abort.abort(); // an event stream has no end
      // The form itself is not sent with it.
      assert.ok(method === "POST" ? answer.status === 403 : answer.status < 400, `${path}: ${link}`);
    }
  }
});
