import assert from "node:assert/strict";
import { test } from "node:test";
import {
  aheadObstacle,
  belongingOf,
  hypervisorOf,
  warmObstacle,
  type WarmSubject,
} from "../../../agent/settings/warm.ts";
import { machinePaths } from "../../../machines/layout.ts";
import { noteKvmTrial, processorOf } from "../../../machines/warm/kvm-trial.ts";
import type { BootstrappedMachine } from "../../../manifests/bootstrapped-machine.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { makeSettings } from "./make-settings.ts";

test("machines under KVM are saved once that was tried on the host, and belong to its processor; emulated ones are saved", async () => {
  await using machines = await temporaryDirectory("croft-test-warm-");
  const settings = (accel: string) =>
    makeSettings({ machines: machines.path, accel, qemu: "/bin/true" }, ["http://127.0.0.1:1/"]);
  const bootstrapped: BootstrappedMachine = {
    machine: { id: "m-1", name: "m", summary: "m", type: "kvm" },
    toolchain: { id: "t-1" },
    bootstrap: { versions: { croft: "1.0" } },
  };
  const subject: WarmSubject = { paths: machinePaths(machines.path, "volume", "m", "default"), bootstrapped };
  assert.equal(warmObstacle(settings("tcg"), subject), undefined);
  assert.match(
    warmObstacle(settings("kvm"), subject)!,
    /not saved before 'croft doctor --try-warm' has passed/,
  );
  await noteKvmTrial(machines.path, hypervisorOf(settings("kvm"), subject.paths));
  assert.equal(warmObstacle(settings("kvm"), subject), undefined);
  const resources = (accel: string) => belongingOf(settings(accel), subject).resources;
  assert.ok(resources("kvm").endsWith(`KVM on ${processorOf()}`));
  assert.doesNotMatch(resources("tcg"), /KVM/);
});

test("a machine that was saved in one network does not count in another, nor on another bridge", async () => {
  await using machines = await temporaryDirectory("croft-test-warm-");
  const bootstrapped: BootstrappedMachine = {
    machine: { id: "m-1", name: "m", summary: "m", type: "kvm" },
    toolchain: { id: "t-1" },
    bootstrap: { versions: { croft: "1.0" } },
  };
  const paths = machinePaths(machines.path, "volume", "m", "default");
  const networks = [{ network: "user" }, { network: "bridge" }, { network: "bridge", bridge: "br2" }];
  const all = networks.map((network) => {
    const options = { machines: machines.path, accel: "tcg", qemu: "/bin/true", ...network };
    const settings = makeSettings(options, ["http://127.0.0.1:1/"]);
    assert.equal(warmObstacle(settings, { paths, bootstrapped }), undefined);
    assert.equal(aheadObstacle(settings), undefined);
    return belongingOf(settings, { paths, bootstrapped }).resources;
  });
  assert.equal(new Set(all).size, networks.length, all.join("\n"));
});
