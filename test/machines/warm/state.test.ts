/** Saved states: when they count, and what is left of them. */
import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { machinePaths, type MachinePaths } from "../../../machines/layout.ts";
import { newStateName } from "../../../machines/names.ts";
import {
  findState,
  isDue,
  refusalOf,
  refuseState,
  publishState,
  removeState,
} from "../../../machines/warm/state.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

const belonging = {
  machineId: "m-1",
  toolchainId: "t-1",
  worker: "1.3.0",
  hypervisor: "qemu 1",
  resources: "1, 2",
};
const about = { ...belonging, version: "7.2.22", options: ["-m", "262144k"], bootSeconds: 3 };

interface Saved extends AsyncDisposable {
  paths: MachinePaths;
  at: (name: string) => string;
}

async function saved(): Promise<Saved> {
  const directory = await temporaryDirectory("croft-test-warm-");
  const paths = machinePaths(directory.path, "volume", "m", "t");
  const at = (name: string) => join(paths.bootstrapped, name);
  mkdirSync(paths.bootstrapped, { recursive: true });
  for (const name of ["disk.img", "kernel", "manifest"]) writeFileSync(at(name), name);
  const made = at(newStateName(1));
  mkdirSync(made);
  for (const name of ["ram", "device", "disk.qcow2"]) writeFileSync(join(made, name), name);
  await publishState(paths, 1, made, about);
  return { paths, at, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

function reasonOf(paths: MachinePaths, wanted: object = {}): string | undefined {
  const found = findState(paths, { ...belonging, ...wanted });
  return "reason" in found ? found.reason : undefined;
}

test("a state that is as it was saved counts, and is closed to others", async () => {
  await using state = await saved();
  const found = findState(state.paths, belonging);
  assert.ok("state" in found);
  assert.deepEqual(found.state.options, about.options);
  assert.deepEqual(readdirSync(state.paths.bootstrapped).sort(), ["disk.img", "kernel", "manifest", "warm"]);
});

for (const [key, what] of [
  ["machineId", /the machine has changed/],
  ["toolchainId", /the toolchain has changed/],
  ["worker", /the worker has changed/],
  ["hypervisor", /QEMU has changed/],
  ["resources", /processors, memory or caches has changed/],
] as const)
  test(`a state of another ${key} does not count`, async () => {
    await using state = await saved();
    assert.match(reasonOf(state.paths, { [key]: "another" }) ?? "", what);
  });

/** Writes to a file what is there, and sets its time back. */
function writeSame(path: string): void {
  const { atime, mtime } = statSync(path);
  writeFileSync(path, path.split("/").at(-1)!);
  utimesSync(path, atime, mtime);
}

for (const [what, damage, reason] of [
  ["whose memory is missing", (at) => rmSync(at("warm/ram")), /'warm\/ram' is missing/],
  ["whose memory is shorter", (at) => truncateSync(at("warm/ram"), 1), /'warm\/ram' has changed/],
  ["whose memory was written, in secret", (at) => writeSame(at("warm/ram")), /'warm\/ram' has changed/],
  ["whose devices are shorter", (at) => truncateSync(at("warm/device"), 1), /'warm\/device' has changed/],
  [
    "whose disk has changed",
    (at) => appendFileSync(at("warm/disk.qcow2"), "x"),
    /'warm\/disk.qcow2' has changed/,
  ],
  ["whose machine has another disk", (at) => appendFileSync(at("disk.img"), "x"), /'disk.img' has changed/],
  ["whose machine has another kernel", (at) => appendFileSync(at("kernel"), "x"), /'kernel' has changed/],
  ["without a description", (at) => rmSync(at("warm/state.json")), /cannot be read/],
  ["with half a description", (at) => truncateSync(at("warm/state.json"), 20), /cannot be used/],
  ["of another version", (at) => writeFileSync(at("warm/state.json"), '{"format": 2}'), /another version/],
  [
    "that names no memory",
    (at) => writeFileSync(at("warm/state.json"), '{"format": 1, "files": {}}'),
    /incomplete/,
  ],
] as [string, (at: Saved["at"]) => void, RegExp][])
  test(`a state ${what} does not count`, async () => {
    await using state = await saved();
    damage(state.at);
    const found = findState(state.paths);
    assert.ok("reason" in found && found.isLost);
    assert.match(found.reason, reason);
  });

test("links to a machine's own files, as snapshots of tasks make them, change nothing", async () => {
  await using state = await saved();
  const { linkSync } = await import("node:fs");
  linkSync(state.at("kernel"), state.at("../link"));
  assert.equal(reasonOf(state.paths), undefined);
});

test("a removed state leaves its reason, and the machine is left alone for an hour", async () => {
  await using state = await saved();
  assert.equal(isDue(state.paths), false); // it has just been saved
  await removeState(state.paths, 1, "it could not be restored: QEMU says no");
  assert.deepEqual(findState(state.paths), {
    reason: "it could not be restored: QEMU says no",
    isLost: false,
  });
  assert.equal(isDue(state.paths), false);
  assert.deepEqual(readdirSync(state.paths.bootstrapped).sort(), [
    "disk.img",
    "kernel",
    "manifest",
    "warm-failure",
  ]);
  await removeState(state.paths, 1);
});

test("a machine without a state is to be saved at once", async () => {
  await using state = await saved();
  await removeState(state.paths, 1);
  assert.equal(isDue(state.paths), true);
  assert.match(reasonOf(state.paths) ?? "", /not been saved yet/);
});

test("an operator's file keeps a machine from being saved, in its directory or in its revision", async () => {
  await using state = await saved();
  assert.equal(refusalOf(state.paths), undefined);
  for (const path of [join(state.paths.directory, "no-warm"), state.at("no-warm")]) {
    writeFileSync(path, "");
    assert.equal(refusalOf(state.paths), "there is a file 'no-warm'");
    rmSync(path);
  }
});

test("a machine that its own worker refuses to have saved says why until it is bootstrapped anew", async () => {
  await using state = await saved();
  await refuseState(state.paths, "its kernel has no driver");
  assert.equal(refusalOf(state.paths), "its kernel has no driver");
});
