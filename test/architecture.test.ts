/** The layout that docs/architecture.md describes; imports between rooms are a matter of lint. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, test } from "node:test";
import { packageFile } from "../os/files/package.ts";

const filesMax = 20;

describe("the architecture", () => {
  test(`has no folder with more than ${filesMax} sources`, () => {
    const counts = new Map<string, number>();
    for (const file of sources()) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
    const crowded = [...counts].filter(([, count]) => count > filesMax);
    assert.deepEqual(crowded, []);
  });

  test("is described with every folder that has a source", () => {
    const text = readFileSync(packageFile("docs/architecture.md"), "utf8");
    const rooms = new Set(
      sources()
        .map(dirname)
        .filter((room) => !room.startsWith("test")),
    );
    const missing = [...rooms].filter((room) => !text.includes(`\`${room}/\``));
    assert.deepEqual(missing, []);
  });
});

function sources(): string[] {
  const all = "{agent,bin,boss,controller,machines,manifests,os,test,worker}/**/*.{ts,js}";
  return globSync(all, { cwd: packageFile() });
}
