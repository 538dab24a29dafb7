/** Modes that print something and exit: whoever calls them is told when there is nothing to print. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { machineManifest } from "../machines/farm.ts";
import { AgentHome, task } from "./running-agent.ts";

test("a mode whose machine cannot be bootstrapped by a fault of the host ends with status 1, and its reason", async () => {
  await using home = await AgentHome.make();
  const revision = home.at("machines", "v", "m", "m-1.1");
  mkdirSync(revision, { recursive: true });
  symlinkSync("m-1.1", home.at("machines", "v", "m", "m-1"));
  writeFileSync(`${revision}/manifest`, machineManifest("m", "m-1.1"));
  writeFileSync(`${revision}/disk.img`, "");
  writeFileSync(home.at("task.manifest"), `: 1\n${task}`);
  const url = "http://127.0.0.1:1/task";
  for (const mode of [
    ["--dump-machines"],
    ["--dump-task", url],
    ["--dump-result", url],
    ["--fake-request", home.at("task.manifest")],
  ]) {
    const agent = home.start(["--qemu", "/nonexistent/qemu", ...mode], { fake: false });
    const { status, stdout, stderr } = await agent.ended;
    assert.deepEqual([status, stdout], [1, ""], stderr);
    assert.match(stderr, /^croft: Cannot start (?:machine 'm-default-1': .*|')\/nonexistent\/qemu/m);
    assert.deepEqual(readdirSync(home.at("machines", "v", "m")), ["m-1", "m-1.1", "m-default.lock"]);
  }
});
