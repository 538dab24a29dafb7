/** A build that is cancelled while it is built: its machine ends, and its agent takes other work. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { startServer } from "../../controller/server.ts";
import { AgentHome, resultText } from "../agent/running-agent.ts";
import { submitBuild } from "../controller/authentication/proof.ts";
import { readBuild } from "../controller/farm.ts";
import { openFarm } from "../controller/in-process.ts";
import { until } from "../controller/until.ts";

test("the agent of a cancelled build ends its machine, keeps nothing of it, and builds the next one", async () => {
  await using controller = await openFarm("embedded", "listen: 127.0.0.1:0\n");
  await using server = await startServer(controller);
  await using home = await AgentHome.make();
  const agent = home.start(["--poll-interval", "3600", `${server.url}/agent/task`]);
  const id = await submitBuild(server.url, { machine: "m" });
  await home.readTask(); // what would take an hour
  const { status } = await fetch(`${server.url}/api/v1/builds/${id}/cancel`, { method: "POST" });
  assert.equal(status, 200);
  await until(async () => controller.wakeUps.count === 1, "an agent that waits for another build");
  assert.deepEqual(readdirSync(home.at("spool", "default-1")), ["lock"]);
  const next = await submitBuild(server.url, { machine: "m" });
  await home.upload(resultText());
  await until(async () => (await readBuild(server.url, next)).state === "finished", "the result");
  agent.child.kill("SIGTERM");
  const { stderr } = await agent.ended;
  assert.match(stderr, /INFO: task given up: nobody waits for its result any more/);
  assert.deepEqual(readdirSync(home.at("spool", "default-1")), ["lock"], "nothing was refused");
});
