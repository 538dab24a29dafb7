/** A matrix through a controller and an agent that builds with the worker: the results are those of the hosts. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { farmOf } from "../../../boss/farm/farm-options.ts";
import type { OptionValues } from "../../../os/command-line/options.ts";
import { makeFarm } from "../../controller/farm.ts";
import { serveGit } from "../../fixtures/services/git-server.ts";
import { git } from "../../fixtures/source-history.ts";
import { makeDesk } from "../desk.ts";
import { runBoss } from "../running-boss.ts";
import { treeOf } from "./trees.ts";
import { performTasks } from "./worker-agent.ts";

const planned = (source: string) => ({ source, settings: {}, toolchains: {}, workerCommand: undefined });

test("a matrix through a controller gives the tree and the summary that hosts give, and goes on where it ended", async () => {
  await using world = await makeDesk(["a"], [{ warns: ["a"] }, { breaks: ["a"] }], () => [
    "--recipe",
    "u-boot",
  ]);
  const { directory } = world.history;
  git(world.directory, ["clone", "--quiet", "--bare", directory, join(world.directory, "served", "p.git")]);
  await using server = await serveGit(join(world.directory, "served"));
  await using farm = await makeFarm("targets: [{name: debian, machine: debian_*}]\n");
  await using controller = await farm.start();
  const through = join(world.directory, "through");
  const args = world.args.map((each) => (each === world.output ? through : each));
  const place = ["--controller", controller.url, "--repository", server.url("p.git")];
  const ended = new AbortController();
  const agent = performTasks(controller.url, ended.signal);
  try {
    const farmed = await runBoss([...args, ...place, "--count", "2"], world, directory);
    const local = await runBoss([...world.args, "--count", "2"], world, directory);
    assert.equal(farmed.status, 2, farmed.stderr);
    assert.equal(farmed.stdout, local.stdout);
    assert.match(farmed.stdout, /^2 built: 0 ok, 1 with warnings, 1 failed$/m);
    assert.deepEqual(treeOf(through, "a"), treeOf(world.output, "a"));
    const [first] = readdirSync(through).filter((name) => name.startsWith("01_g"));
    assert.equal(readFileSync(join(through, first!, "a", "host"), "utf8").trim(), "host-1");
    // What has a result is not built again; a commit that machines cannot fetch has none, and it is said why.
    git(directory, ["commit", "--quiet", "--allow-empty", "--message=Not served"]);
    const next = await runBoss([...args, ...place, "--count", "3"], world, directory);
    assert.equal(next.status, 2);
    assert.match(next.stderr, /^a was given up: its build ended with error of fetch: /m);
    const answer = await (await fetch(`${controller.url}/api/v1/builds`)).json();
    assert.equal((answer as { builds: unknown[] }).builds.length, 3);
  } finally {
    ended.abort();
    await agent;
  }
});

test("who builds through a controller says where machines find the source, and no option of hosts", async () => {
  await using world = await makeDesk(["a"], [{}], () => []);
  const options = planned(world.history.directory);
  const asked = (values: OptionValues) => farmOf(values, options, () => {});
  const controller = "http://127.0.0.1:1/";
  assert.equal(await asked({}), undefined);
  await assert.rejects(asked({ controller }), /it was cloned from nowhere/);
  await assert.rejects(asked({ controller, hosts: "a" }), /Cannot build with --hosts: it is not for builds/);
  await assert.rejects(
    asked({ repository: "https://x" }),
    /Cannot build with --repository: it is for builds/,
  );
  git(options.source, ["remote", "add", "origin", "https://forge.example/p.git"]);
  const found = await asked({ controller, token: "t" });
  assert.equal(found?.repository, "https://forge.example/p.git");
  assert.equal(found.controller.base, "http://127.0.0.1:1");
});
