/** Idle agents learn of a build when it is submitted: they would not ask again by themselves for an hour. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { startServer } from "../../controller/server.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { startFaultyProxy } from "../fixtures/services/faulty-proxy.ts";
import { AgentHome, resultText } from "../agent/running-agent.ts";
import { submitBuild } from "../controller/authentication/proof.ts";
import { noPostgres, startPostgres } from "../controller/database/postgres.ts";
import { readBuild } from "../controller/farm.ts";
import { openFarm, openOn } from "../controller/in-process.ts";
import { until } from "../controller/until.ts";

const listen = "listen: 127.0.0.1:0\n";
const rarely = ["--poll-interval", "3600"];

/** A controller that has nothing to do, and lets agents wait for ever; how many waits have begun, and ended. */
async function startSilent() {
  const counts = { begun: 0, ended: 0 };
  const server = createServer((request, response) => {
    if (request.url === "/wake") {
      counts.begun++;
      return void response.on("close", () => counts.ended++);
    }
    const headers = { "content-type": "text/manifest", "croft-wake-url": `${url}/wake` };
    request.resume().on("end", () => response.writeHead(200, headers).end(": 1\nsession:\n"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const end = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url, counts, [Symbol.asyncDispose]: end };
}

/** Without an answer the agent itself ends a wait after a minute. */
const atOnceMs = 45_000;

describe("an idle agent", () => {
  test("ends its wait at once when it is to read its configuration again, to end after its task, or to end", async () => {
    for (const signal of ["SIGUSR2", "SIGTERM"] as const) {
      await using controller = await startSilent();
      await using home = await AgentHome.make();
      const agent = home.start([...rarely, `${controller.url}/task`]);
      await until(async () => controller.counts.begun === 1, "an agent that waits");
      const began = performance.now();
      agent.child.kill("SIGHUP");
      await until(async () => controller.counts.ended === 1, "the end of its wait");
      await until(async () => controller.counts.begun === 2, "an agent that waits again");
      agent.child.kill(signal);
      assert.equal((await agent.ended).status, 0);
      await until(async () => controller.counts.ended === 2, "the end of its second wait");
      assert.ok(performance.now() - began < atOnceMs, "none of it by a time that was over");
    }
  });

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

  test("comes back in seconds to a controller that was away for a moment, asked or waited at", async () => {
    await using controller = await openFarm("embedded", "listen: 0.0.0.0:0\n");
    await using server = await startServer(controller);
    await using proxy = await startFaultyProxy(server.url.replace("0.0.0.0", "127.0.0.1"));
    const left = { "/agent/task": 3, "/agent/wake": 3 };
    proxy.fault = ({ path }) => {
      for (const part of ["/agent/task", "/agent/wake"] as const)
        if (path.startsWith(part) && left[part] > 0) {
          left[part]--;
          return "dropped";
        }
      return undefined;
    };
    await using home = await AgentHome.make();
    home.start([...rarely, `${proxy.url}/agent/task`]);
    await until(async () => controller.wakeUps.count === 1, "an agent that waits");
    assert.deepEqual(left, { "/agent/task": 0, "/agent/wake": 0 });
    const id = await submitBuild(proxy.url, { machine: "m" });
    await home.upload(resultText());
    await until(async () => (await readBuild(proxy.url, id)).state === "finished", "the result");
  });

  test("is told when its controller does not know the offer (any more)", async () => {
    await using controller = await openFarm("embedded", listen);
    await using server = await startServer(controller);
    for (const method of ["GET", "DELETE"])
      assert.equal((await fetch(`${server.url}/agent/wake/lost`, { method })).status, 410);
  });

  test(
    "is woken by a build that another controller on the database has taken",
    { skip: noPostgres },
    async () => {
      await using postgres = await startPostgres();
      await using directory = await temporaryDirectory("croft-test-wake-up-");
      const path = join(directory.path, "shared");
      await mkdir(path);
      await using here = await openOn(path, postgres.url, listen);
      await using there = await openOn(path, postgres.url, listen);
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
