/** Clones of a saved memory: what a hypervisor writes there, only its own process ever sees. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { OwnMemory } from "../../../machines/warm/own-memory.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

test("each process has a clone without a name, keeps it, and throws away one that was written", async () => {
  await using directory = await temporaryDirectory("croft-test-memory-");
  const ram = join(directory.path, "ram");
  writeFileSync(ram, "as saved", { mode: 0o600 });
  using mine = new OwnMemory();
  using others = new OwnMemory();
  const prefix = join(directory.path, "m-t-1-");
  const clone = await mine.of(ram, prefix);
  const other = await others.of(ram, prefix);
  assert.deepEqual(readdirSync(directory.path), ["ram"]);
  assert.equal(statSync(clone).mode & 0o777, 0o666, "whoever is given it may open it for writing");
  assert.equal(await mine.of(ram, prefix), clone);
  writeFileSync(clone, "by a hostile guest");
  assert.deepEqual(
    [ram, other].map((file) => readFileSync(file, "utf8")),
    ["as saved", "as saved"],
  );
  const next = await mine.of(ram, prefix);
  assert.equal(readFileSync(next, "utf8"), "as saved");
  writeFileSync(ram, "saved again");
  assert.equal(readFileSync(await mine.of(ram, prefix), "utf8"), "saved again");
});
