/** Idle agents learn of a build when it is submitted: they would not ask again by themselves for an hour. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { startServer } from "../../controller/server.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { AgentHome, resultText } from "../agent/running-agent.ts";
import { submitBuild } from "../controller/authentication/proof.ts";
import { noPostgres, startPostgres } from "../controller/database/postgres.ts";
import { readBuild } from "../controller/farm.ts";
import { openFarm, openOn } from "../controller/in-process.ts";
import { until } from "../controller/until.ts";

const listen = "listen: 127.0.0.1:0\n";
const rarely = ["--poll-interval", "3600"];

describe("an idle agent", () => {
  test("is woken by a build, and by the next one; whoever ends it need not wait", async () => {
    await using controller = await openFarm("embedded", listen);
    await using server = await startServer(controller);
    await using home = await AgentHome.make();
    const agent = home.start([...rarely, `${server.url}/agent/task`]);
    for (let count = 0; count < 2; count++) {
      await until(async () => controller.wakeUps.count === 1, "an agent that waits");
      const id = await submitBuild(server.url, { machine: "m" });
      await home.upload(resultText());
      await until(async () => (await readBuild(server.url, id)).state === "finished", "the result");
    }
    await until(async () => controller.wakeUps.count === 1, "an agent that waits");
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    assert.match(metrics, /^croft_waiting_agents 1$/m);
    agent.child.kill("SIGTERM");
    assert.equal((await agent.ended).status, 0);
    await until(async () => controller.wakeUps.count === 0, "the end of its wait");
  });

  test("offers anew when its controller has lost the offer", async () => {
    await using controller = await openFarm("embedded", listen);
    await using server = await startServer(controller);
    await using home = await AgentHome.make();
    home.start([...rarely, `${server.url}/agent/task`]);
    await until(async () => controller.wakeUps.count === 1, "an agent that waits");
    const [{ token } = { token: "" }] = await controller.database.query<{ token: string }>(
      "delete from croft.offers returning token",
    );
    for (const method of ["GET", "DELETE"])
      assert.equal((await fetch(`${server.url}/agent/wake/${token}`, { method })).status, 410);
  });

  test(
    "is woken by a build that another controller on the database has taken",
    { skip: noPostgres },
    async () => {
      await using postgres = await startPostgres();
      await using directory = await temporaryDirectory("croft-test-wake-up-");
      const open = async (name: string) => {
        const path = join(directory.path, name);
        await mkdir(path);
        return await openOn(path, postgres.url, listen);
      };
      await using here = await open("here");
      await using there = await open("there");
      await using server = await startServer(here);
      await using home = await AgentHome.make();
      home.start([...rarely, `${server.url}/agent/task`]);
      await until(async () => here.wakeUps.count === 1, "an agent that waits");
      const what = { name: "hello", version: "1.0", repository: "https://example.org/hello.git" };
      const [build] = await there.builds.submit({ ...what, targets: ["*"], priority: 0, machine: "m" }, null);
      await home.upload(resultText());
      await until(async () => (await here.builds.find(build!.id))?.state === "finished", "the result");
    },
  );
});
