/** Which agents exclude each other: those of one toolchain and instance that share any of their places. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { copiesOf, lockInstance } from "../../../agent/task-state/instance-lock.ts";
import { keepIdentity } from "../../../agent/reload.ts";
import type { Settings } from "../../../agent/settings/settings.ts";
import { makeSettings } from "../settings/make-settings.ts";
import { Failure } from "../../../os/failure.ts";
import { silentLog } from "../../../os/log.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { listMachines } from "../../../machines/layout.ts";

const places = ["spool", "runtime", "tftp", "machines"] as const;
type Places = Record<(typeof places)[number], string>;

/** Directories of an agent's own, with what it needs of them. */
function placesIn(directory: string): Places {
  const made = Object.fromEntries(places.map((place) => [place, join(directory, place)])) as Places;
  for (const name of ["spool/default-1", "spool/default-2", "machines"])
    mkdirSync(join(directory, name), { recursive: true });
  return made;
}

function settingsOf(given: Places, more: Record<string, number | string> = {}): Settings {
  return makeSettings({ ...given, ...more }, ["http://127.0.0.1:1/task"]);
}

const lock = (settings: Settings) => lockInstance(settings, silentLog());

for (const [shared, file] of [
  ["spool", "default-1/lock"],
  ["runtime", "default-1/lock"],
  ["tftp", "build/default-1.lock"],
  ["machines", ".croft-default-1.lock"],
] as const)
  test(`two agents of one instance that share nothing but --${shared} exclude each other`, async () => {
    await using directory = await temporaryDirectory("croft-test-instance-");
    const [first, second] = ["a", "b"].map((name) => placesIn(join(directory.path, name))) as [
      Places,
      Places,
    ];
    using held = await lock(settingsOf(first));
    const like = settingsOf({ ...second, [shared]: first[shared] });
    await assert.rejects(lock(like), (error) => {
      assert.ok(error instanceof Failure);
      const path = join(first[shared], file);
      const said = `Cannot start instance 1 of toolchain default: it is running already ('${path}' is locked)`;
      assert.deepEqual([error.message, error.hints], [said, ["Give another number with --instance."]]);
      return true;
    });
    (await lock(settingsOf(second)))[Symbol.dispose](); // whoever was refused holds nothing
    held[Symbol.dispose]();
    (await lock(like))[Symbol.dispose](); // the files stay, and mean nothing
  });

test("other instances use the same places, and no lock is taken for a volume, or served", async () => {
  await using directory = await temporaryDirectory("croft-test-instance-");
  const shared = placesIn(directory.path);
  using _first = await lock(settingsOf(shared));
  using _second = await lock(settingsOf(shared, { instance: 2 }));
  assert.deepEqual(listMachines(shared.machines, "default"), []);
  assert.deepEqual(readdirSync(join(shared.tftp, "build")).sort(), ["default-1.lock", "default-2.lock"]);
});

test("a machines directory that nobody can write to is not locked, and one that is not there is left to be told of", async () => {
  await using directory = await temporaryDirectory("croft-test-instance-");
  const own = placesIn(directory.path);
  for (const machines of ["/sys", join(directory.path, "none")])
    (await lock(settingsOf({ ...own, machines })))[Symbol.dispose]();
});

test("a reload does not move the agent to places that it has not locked", () => {
  const settings = (root: string) =>
    settingsOf(Object.fromEntries(places.map((place) => [place, join(root, place)])) as Places);
  const kept = keepIdentity(settings("/old"), settings("/new"));
  for (const place of places) assert.ok(kept.settings[place].startsWith("/old/"), place);
  assert.deepEqual([...kept.ignored].sort(), [...places].sort());
});

test("machines have as many copies as the host has agents of the toolchain, if that is asked for", async () => {
  await using directory = await temporaryDirectory("croft-test-instance-");
  const given = placesIn(directory.path);
  const auto = { "machine-copies": "auto" };
  const settings = settingsOf(given, auto);
  assert.equal(copiesOf(settingsOf(given)), 1);
  assert.equal(copiesOf(settingsOf(given, { "machine-copies": 3 })), 3);
  assert.equal(copiesOf(settings), 1, "nobody runs");
  using _first = await lock(settings);
  {
    using _second = await lock(settingsOf(given, { ...auto, instance: 2 }));
    assert.equal(copiesOf(settings), 2);
  }
  assert.equal(copiesOf(settings), 1, "the file of one that has ended counts for nothing");
});
