import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import {
  forgetKvmTrial,
  kvmTrialObstacle,
  noteKvmTrial,
  processorOf,
} from "../../../machines/warm/kvm-trial.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

const untried = /^machines under KVM are not saved before 'croft doctor --try-warm' has passed on this host$/;

test("a trial counts on the host, with the kernel, processor and QEMU that it was made with, until one fails", async () => {
  await using machines = await temporaryDirectory("croft-test-trial-");
  const obstacle = () => kvmTrialObstacle(machines.path, "qemu 1");
  assert.match(obstacle()!, untried);
  await noteKvmTrial(machines.path, "qemu 1");
  assert.equal(obstacle(), undefined);
  assert.match(kvmTrialObstacle(machines.path, "qemu 2")!, /again: QEMU has changed since it did$/);
  const file = join(machines.path, ".warm-trial.json");
  const tried = JSON.parse(await readFile(file, "utf8")) as Record<string, string>;
  for (const [key, what] of [
    ["host", "the host"],
    ["kernel", "its kernel"],
    ["processor", "its processor"],
  ] as const) {
    await writeFile(file, JSON.stringify({ ...tried, [key]: "another" }));
    assert.ok(obstacle()!.endsWith(`again: ${what} has changed since it did`), obstacle());
  }
  await writeFile(file, "{");
  assert.match(obstacle()!, untried);
  await noteKvmTrial(machines.path, "qemu 1");
  await forgetKvmTrial(machines.path);
  assert.match(obstacle()!, untried);
});

test("a processor is known by its name and by what it can, not by how fast it runs at the moment", () => {
  const one = (mhz: string, flags: string) =>
    `processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nstepping\t: 7\nmicrocode\t: 0x1\ncpu MHz\t\t: ${mhz}\nflags\t\t: ${flags}\n\nprocessor\t: 1\nflags\t\t: other\n`;
  assert.equal(processorOf(one("1000", "fpu vmx")), processorOf(one("2000", "fpu vmx")));
  assert.notEqual(processorOf(one("1000", "fpu vmx")), processorOf(one("1000", "fpu")));
  assert.equal(
    processorOf(one("1000", "fpu")),
    "model name: Some CPU @ 2 GHz; stepping: 7; microcode: 0x1; flags: fpu",
  );
});
