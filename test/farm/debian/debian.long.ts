/** A Debian source package with its own test suite, and one that does not compile, built in a Debian machine */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import { upstreamArchive } from "../../fixtures/debian-source.ts";
import { buildIn, debianFarm, makefile, program } from "./farm.ts";

const farm = debianFarm();

test("a project with a test suite of its own is built, tested, installed, and its artifact kept", async () => {
  const archive = await upstreamArchive("ed");
  await copyFile(archive, join(farm().sources.directory, basename(archive)));
  const id = await farm().submit({
    name: "ed",
    repository: farm().guestUrl(`/${basename(archive)}`),
  });
  // Seen while it runs: what configure finds out first.
  await farm().logUntil(id, 300, /checking|creating Makefile/i);
  assert.equal((await farm().view(id)).state, "building");
  const view = await farm().ended(id, 900);
  const log = await farm().log(id);
  const statuses = Object.fromEntries(view.operations.map(({ name, status }) => [name, status]));
  assert.ok(["success", "warning"].includes(view.status!), log.slice(-3000));
  assert.deepEqual(Object.keys(statuses), ["fetch", "configure", "update", "test", "install"]);
  assert.equal(statuses["test"], "success");
  assert.match(log, /tests completed successfully/);
  const [artifact] = view.artifacts;
  assert.ok(artifact);
  const content = Buffer.from(await (await fetch(artifact.url)).arrayBuffer());
  assert.ok(content.length > 50_000, `${content.length}`);
  assert.equal(createHash("sha256").update(content).digest("hex"), artifact.sha256);
});

test("a compile error is an error of the operation update, and its message is in the log", async () => {
  const { view, statuses, log } = await buildIn(farm(), "broken", {
    "hello.c": program("return nothing;"),
    Makefile: makefile("./hello"),
  });
  assert.equal(view.status, "error");
  assert.equal(statuses.at(-1), "update error");
  assert.match(log, /hello\.c:3:8: error: .nothing. undeclared/);
});
