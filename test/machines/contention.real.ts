import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { Failure } from "../../os/failure.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { manifestPath } from "../../machines/layout.ts";
import { classifyEntry } from "../../machines/names.ts";
import { listRevisions, newRevisionPath, publishRevision } from "../../machines/revisions.ts";
import { removeMachine } from "../../machines/remove.ts";
import { removeStaleSnapshots } from "../../machines/stale.ts";
import { btrfsFileSystem } from "../fixtures/machines/btrfs.ts";
import { machineManifest, makeFarm, type Farm } from "./farm.ts";

const machines = ["a", "b", "c"];
const instances = [1, 2, 3];
const rounds = Number(process.env["CROFT_CONTENTION_ROUNDS"] ?? 48);
const deadlineSeconds = 1500;

/** Publishes a revision whose every file carries its id. */
async function publish(farm: Farm, name: string, id: string, volume = "v"): Promise<void> {
  const paths = farm.paths(name, volume);
  const path = await newRevisionPath(paths);
  await farm.storage.createSubvolume(path);
  await writeFile(manifestPath(path), machineManifest(name, id));
  for (let index = 0; index < 10; index++) await writeFile(join(path, `disk${index}.img`), id);
  await publishRevision(farm.storage, paths, path);
}

/** What operators do to machines while agents run. */
async function operate(farm: Farm, name: string, turn: number): Promise<void> {
  const paths = farm.paths(name);
  if (turn % 5 === 2) {
    // A volume comes, with a machine of its own and a double of another, and goes.
    const volume = `w${turn}`;
    await publish(farm, "d", `d-1.${turn}`, volume);
    await publish(farm, name, `double-1.${turn}`, volume);
    for (const old of await readdir(farm.directory))
      if (old.startsWith("w") && old !== volume) await removeVolume(farm, old);
    return;
  }
  if (turn % 4 === 3) {
    await rm(paths.current, { force: true });
    return;
  }
  if (turn % 3 === 1) await remove(farm, name);
  await publish(farm, name, `${name}-1.${turn}`);
  for (const revision of listRevisions(paths).slice(0, -2))
    await farm.storage.remove(`${paths.current}.${revision}`);
}

async function removeVolume(farm: Farm, volume: string): Promise<void> {
  for (const name of ["d", ...machines]) await remove(farm, name, volume);
  await rmdir(join(farm.directory, volume)).catch(() => {}); // somebody uses a machine of it
}

/** Removes a machine, unless somebody uses it. */
async function remove(farm: Farm, name: string, volume = "v"): Promise<void> {
  try {
    await removeMachine(farm.storage, farm.paths(name, volume));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
  }
}

/** The contenders of a test, restarted when they are killed; ends when enough rounds were made. */
async function contend(farm: Farm, claims: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = { kills: 0 };
  const ends: Promise<unknown>[] = [];
  let made = 0;
  let operating = Promise.resolve();
  const done = Promise.withResolvers<void>();
  const start = (instance: number) => {
    const script = join(import.meta.dirname, "contender.ts");
    const argv = [script, farm.directory, farm.toolchainLock, claims, String(instance)];
    const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
    ends.push(
      once(child, "close").then(([status, signal]) => {
        if (signal === "SIGKILL") start(instance);
        else if (status !== 0) done.reject(new Error(`contender ended with ${status}`));
      }),
    );
    createInterface(child.stdout).on("line", (line) => {
      if (line.startsWith("violation")) done.reject(new Error(line));
      counts[line] = (counts[line] ?? 0) + 1;
      made++;
      if (made >= rounds) return done.resolve();
      if (made % 8 === 0) operating = operating.then(() => operate(farm, machines[made % 3]!, made / 8));
      // At any point of its next round.
      if (made % 5 === 0)
        setTimeout(() => {
          if (child.kill("SIGKILL")) counts["kills"]!++;
        }, Math.random() * 60);
    });
  };
  for (const instance of instances) start(instance);
  const timer = setTimeout(() => done.reject(new Error(`${made} rounds only`)), deadlineSeconds * 1000);
  try {
    await done.promise;
    await operating;
  } finally {
    clearTimeout(timer);
    await rename(claims, `${claims}-closed`); // tells them to end
    for (let count = -1; count !== ends.length;) {
      count = ends.length;
      await Promise.all(ends);
    }
  }
  return counts;
}

async function testContention(farm: Farm): Promise<void> {
  await using directory = await temporaryDirectory("croft-test-claims-");
  const claims = join(directory.path, "claims");
  await mkdir(claims);
  for (const name of machines) await publish(farm, name, `${name}-1.0`);
  const counts = await contend(farm, claims);
  for (const kind of ["bootstrap", "task", "kills"])
    assert.ok(counts[kind]! > 0, `${kind}: ${JSON.stringify(counts)}`);
  for (const instance of instances) await removeStaleSnapshots({ ...farm, toolchain: "gcc", instance });
  for (const name of machines)
    for (const entry of await farm.names(name)) {
      const kind = classifyEntry(name, entry)?.kind;
      assert.ok(kind !== undefined && !["temporary", "removed"].includes(kind), `left: ${entry}`);
    }
}

test("directory: processes that are killed, and an operator beside them: no machine is held twice or half", async () => {
  await using farm = await makeFarm();
  await testContention(farm);
});

test("btrfs: processes that are killed, and an operator beside them: no machine is held twice or half", async () => {
  await using system = await btrfsFileSystem();
  await using farm = await makeFarm({ parent: system.path });
  await testContention(farm);
});
