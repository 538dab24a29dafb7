/** The manual as a controller serves it: every page that its pages lead to. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFarm } from "../farm.ts";

test("whoever follows the manual's links finds a page, with the heading that was meant, and every chapter in the end", async () => {
  await using farm = await makeFarm();
  const { url } = await farm.start();
  const found = new Map<string, string>();
  const next = ["/docs"];
  for (let path = next.pop(); path !== undefined; path = next.pop()) {
    if (found.has(path)) continue;
    const response = await fetch(url + path);
    assert.equal(response.status, 200, path);
    const text = await response.text();
    found.set(path, text);
    for (const [, target] of text.matchAll(/href="(\/docs[^"#]*)(?:#[^"]*)?"/g)) next.push(target!);
  }
  for (const [path, text] of found)
    for (const [, target, anchor] of text.matchAll(/href="(\/docs[^"#]*)?#([^"]+)"/g))
      assert.ok(
        anchor === "content" || found.get(target ?? path)!.includes(`id="${anchor}"`),
        `${path}: ${target}#${anchor}`,
      );
  assert.ok(found.size > 40, String(found.size));
  assert.match(found.get("/docs")!, /<a rel="next" href="\/docs\/concepts">/);
  assert.match(found.get("/docs/agent")!, /aria-current="page"/);
  assert.match(found.get("/docs/monitoring/croft-alerts.yaml")!, /^groups:/m);
  for (const path of ["/docs/nothing", "/docs/..%2fpackage", "/docs/man/croft.1"])
    assert.equal((await fetch(url + path)).status, 404, path);
});
