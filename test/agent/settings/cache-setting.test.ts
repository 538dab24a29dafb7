import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCache } from "../../../agent/settings/cache-setting.ts";
import { makeSettings } from "./make-settings.ts";

test("a cache has 2 GiB unless told, and units are those of 1024", () => {
  assert.deepEqual(parseCache("ccache"), { name: "ccache", bytes: 2 ** 31 });
  assert.deepEqual(parseCache("m=1TiB:/a:b"), { name: "m", bytes: 2 ** 40, from: "/a:b" });
});

test("there are four caches at most, with names of their own", () => {
  const settings =
    (...caches: string[]) =>
    () =>
      makeSettings({ caches }, ["http://127.0.0.1:1/task"]);
  assert.throws(settings("a", "b", "c", "d", "e"), /more than 4 caches/);
  assert.throws(settings("a=16MiB", "a"), /two caches have the same name/);
  assert.equal(settings("a", "b", "c", "d")().caches.length, 4);
});
