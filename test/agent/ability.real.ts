/** Hosts that cannot build, as they are found before anybody is asked for a task. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { HostAbility } from "../../agent/ability.ts";
import { Failure } from "../../os/failure.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { silentLog } from "../../os/log.ts";
import { run } from "../../os/run.ts";
import { btrfsFileSystem } from "../fixtures/machines/btrfs.ts";
import { freePort } from "../fixtures/ports.ts";
import { makeSettings } from "./settings/make-settings.ts";

async function mountSmall(path: string, options: string): Promise<AsyncDisposable> {
  mkdirSync(path);
  await run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], { timeoutSeconds: 300 });
  return {
    [Symbol.asyncDispose]: async () => void (await run(["umount", "-l", path], { timeoutSeconds: 300 })),
  };
}

/** Fills a directory with files of this size; gives one back. */
function fill(path: string, bytes: number): void {
  let count = 0;
  try {
    for (; ; count++) writeFileSync(join(path, `ballast-${count}`), Buffer.alloc(bytes));
  } catch {
    rmSync(join(path, `ballast-${count}`), { force: true });
  }
}

/** What keeps a host with these places from building; no machine is started for it. */
async function abilityWith(places: Partial<Record<"machines" | "tftp" | "spool" | "runtime", string>>) {
  const port = (await freePort()) - 1;
  const settings = makeSettings({ ...places, "fake-build": true, "tftp-port": port }, [
    "http://127.0.0.1:1/",
  ]);
  const ability = new HostAbility();
  const stop = new AbortController().signal;
  return {
    reason: async () =>
      await ability.check({ settings, log: silentLog(), stop }).then(
        () => "able",
        (error: unknown) => (error instanceof Failure ? error.message : error),
      ),
    [Symbol.asyncDispose]: () => ability[Symbol.asyncDispose](),
  };
}

test("a host whose runtime directory is full, or has no file left to give, asks for no task", async () => {
  await using directory = await temporaryDirectory("croft-test-ability-");
  const at = (name: string) => join(directory.path, name);
  await using _run = await mountSmall(at("run"), "size=1m");
  await using _spool = await mountSmall(at("spool"), "size=8m,nr_inodes=40");
  for (const name of ["tftp", "machines"]) mkdirSync(at(name));
  const places = { machines: at("machines"), tftp: at("tftp"), spool: at("spool"), runtime: at("run") };
  await using ability = await abilityWith(places);
  const { reason } = ability;
  assert.equal(await reason(), "able");
  fill(at("run"), 4096);
  assert.match(
    String(await reason()),
    /^Cannot build with '.*run.*': only .* are free there, .* are needed$/,
  );
  rmSync(join(at("run"), "ballast-0"));
  for (let count = 1; count < 100; count++) rmSync(join(at("run"), `ballast-${count}`), { force: true });
  assert.equal(await reason(), "able");
  fill(at("spool"), 1);
  assert.match(
    String(await reason()),
    /^Cannot build with '.*spool': its file system has room for only \d+ more files$/,
  );
});

test("a host asks for no task where no file can be made, whatever room its file system tells of", async () => {
  await using directory = await temporaryDirectory("croft-test-ability-");
  const at = (name: string) => join(directory.path, name);
  for (const name of ["tftp", "machines", "run"]) mkdirSync(at(name));
  await using btrfs = await btrfsFileSystem();
  const spool = join(btrfs.path, "spool");
  const btrfsDo = (...argv: string[]) => run(["btrfs", ...argv], { timeoutSeconds: 300 });
  await btrfsDo("subvolume", "create", spool);
  await btrfsDo("quota", "enable", btrfs.path);
  await btrfsDo("quota", "rescan", "-w", btrfs.path);
  await btrfsDo("qgroup", "limit", "16K", spool);
  await using ability = await abilityWith({
    machines: at("machines"),
    tftp: at("tftp"),
    spool,
    runtime: at("run"),
  });
  assert.match(String(await ability.reason()), /^Cannot build with '.*spool': no file can be made there: /);
  await btrfsDo("quota", "disable", btrfs.path);
  assert.equal(await ability.reason(), "able");
  assert.deepEqual(readdirSync(spool), []);
});
