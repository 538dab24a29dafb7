import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, readdir, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Failure } from "../../os/failure.ts";
import { silentLog } from "../../os/log.ts";
import { machinePaths } from "../../machines/layout.ts";
import { openStorage } from "../../machines/open-storage.ts";
import type { Storage, StorageKind } from "../../machines/storage.ts";
import { temporarySnapshot } from "../../machines/temporary-snapshot.ts";

/** A directory to try a storage in. */
export interface Place extends AsyncDisposable {
  readonly path: string;
}

/** What holds for every kind of storage. */
export function testStorage(kind: StorageKind | "auto", makePlace: () => Promise<Place>): void {
  const setUp = async (): Promise<Place & { storage: Storage; machine: string }> => {
    const place = await makePlace();
    const storage = await openStorage(place.path, kind, silentLog());
    const machine = join(place.path, "machine");
    await storage.createSubvolume(machine);
    await writeFile(join(machine, "manifest"), "original");
    await writeFile(join(machine, "disk.img"), "original".padEnd(65536, "."));
    await mkdir(join(machine, "extra"));
    await writeFile(join(machine, "extra", "file"), "original");
    return Object.assign(place, { storage, machine });
  };

  test(`${kind}: a snapshot on the disks of a saved state has those, and the saved state stays as it is`, async () => {
    await using place = await setUp();
    const warm = join(place.machine, "warm");
    await mkdir(warm);
    for (const name of ["disk.img", "ram"]) await writeFile(join(warm, name), "saved".padEnd(65536, "."));
    const task = join(place.path, "task");
    await place.storage.overlay(place.machine, task, undefined, warm);
    const disks = (await readdir(task)).filter((name) => name.startsWith("disk"));
    assert.equal(disks.length, 1);
    const disk = await readFile(join(task, disks[0]!), "latin1");
    assert.ok(disk.startsWith("saved") || disk.includes(join(warm, "disk.img")), disk.slice(0, 200));
    assert.equal((await readFile(join(warm, "disk.img"), "utf8")).slice(0, 5), "saved");
    assert.deepEqual((await readdir(warm)).sort(), ["disk.img", "ram"]);
  });

  test(`${kind}: a clone has everything and depends on nothing`, async () => {
    await using place = await setUp();
    const clone = join(place.path, "clone");
    await place.storage.clone(place.machine, clone);
    assert.deepEqual((await readdir(clone)).sort(), ["disk.img", "extra", "manifest"]);
    await writeFile(join(clone, "manifest"), "changed");
    assert.equal(await readFile(join(place.machine, "manifest"), "utf8"), "original");
    await place.storage.remove(place.machine);
    assert.equal((await readFile(join(clone, "disk.img"), "utf8")).slice(0, 8), "original");
    assert.equal(await readFile(join(clone, "extra", "file"), "utf8"), "original");
  });

  test(`${kind}: a clone of a plain directory works as well`, async () => {
    await using place = await setUp();
    const plain = join(place.path, "plain");
    await mkdir(plain);
    await writeFile(join(plain, "manifest"), "plain");
    await place.storage.clone(plain, join(place.path, "clone"));
    assert.equal(await readFile(join(place.path, "clone", "manifest"), "utf8"), "plain");
    for (const name of ["plain", "clone"]) await place.storage.remove(join(place.path, name));
    assert.deepEqual(await readdir(place.path), ["machine"]);
  });

  test(`${kind}: what is there is neither replaced nor filled`, async () => {
    await using place = await setUp();
    const other = join(place.path, "other");
    await mkdir(other);
    for (const make of [
      () => place.storage.clone(place.machine, other),
      () => place.storage.overlay(place.machine, other),
      () => place.storage.createSubvolume(other),
    ])
      await assert.rejects(make, Failure);
    assert.deepEqual(await readdir(other), []);
  });

  test(`${kind}: a clone of what is not there fails and leaves nothing`, async () => {
    await using place = await setUp();
    await assert.rejects(place.storage.clone(join(place.path, "gone"), join(place.path, "clone")), Failure);
    await assert.rejects(place.storage.overlay(join(place.path, "gone"), join(place.path, "clone")), Failure);
    assert.deepEqual(await readdir(place.path), ["machine"]);
  });

  test(`${kind}: an aborted clone leaves nothing`, async () => {
    await using place = await setUp();
    const abort = new AbortController();
    const clone = place.storage.clone(place.machine, join(place.path, "clone"), abort.signal);
    abort.abort();
    await assert.rejects(clone);
    assert.deepEqual(await readdir(place.path), ["machine"]);
  });

  test(`${kind}: removing takes everything, twice is harmless, and links are not followed`, async () => {
    await using place = await setUp();
    await mkdir(join(place.path, "outside"));
    await writeFile(join(place.path, "outside", "file"), "stays");
    await symlink(join(place.path, "outside"), join(place.machine, "link"));
    await chmod(join(place.machine, "extra"), 0o500);
    await place.storage.remove(place.machine);
    await place.storage.remove(place.machine);
    assert.deepEqual(await readdir(place.path), ["outside"]);
    assert.deepEqual(await readdir(join(place.path, "outside")), ["file"]);
  });

  test(`${kind}: a temporary snapshot is removed unless it gets another name`, async () => {
    await using place = await setUp();
    const paths = machinePaths(place.path, "v", "m", "gcc");
    await mkdir(paths.directory, { recursive: true });
    const options = { from: place.machine, paths, instance: 7, mode: "clone", log: silentLog() } as const;
    let path: string;
    {
      await using snapshot = await temporarySnapshot(place.storage, options);
      path = snapshot.path;
      assert.match(path, /\/v\/m\/m-gcc-7-[a-z0-9]{6}$/);
      assert.ok(existsSync(join(path, "disk.img")));
    }
    assert.ok(!existsSync(path));
    {
      await using snapshot = await temporarySnapshot(place.storage, options);
      await snapshot.rename(paths.bootstrapped);
    }
    assert.deepEqual(await readdir(paths.directory), ["m-gcc"]);
    assert.ok((await stat(join(paths.bootstrapped, "disk.img"))).isFile());
  });
}
