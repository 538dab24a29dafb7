/** An agent that is not heard of any more, and comes back after another one was given its build. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { startServer } from "../../controller/server.ts";
import { AgentHome, resultText } from "../agent/running-agent.ts";
import { submitBuild } from "../controller/authentication/proof.ts";
import { readBuild } from "../controller/farm.ts";
import { openFarm } from "../controller/in-process.ts";
import { until } from "../controller/until.ts";

test("the first complete result counts, and the other agent is told: it ends its machine and takes other work", async () => {
  await using controller = await openFarm("embedded", "listen: 127.0.0.1:0\n");
  await using server = await startServer(controller);
  for (const first of ["former", "latter"]) {
    await using former = await AgentHome.make();
    await using latter = await AgentHome.make();
    const options = ["--poll-interval", "3600", `${server.url}/agent/task`];
    const stopped = former.start(options);
    const id = await submitBuild(server.url, { machine: "m" });
    await former.readTask();
    stopped.child.kill("SIGSTOP");
    // A minute later
    const over = "update croft.sessions set signs_until = now() where state = 'active'";
    await until(async () => {
      await controller.database.query(over);
      await controller.leases.look();
      return (await readBuild(server.url, id)).state === "queued";
    }, "the lease to end");
    const other = latter.start(options);
    await latter.readTask();
    stopped.child.kill("SIGCONT");
    const [winner, loser] = first === "former" ? [former, latter] : [latter, former];
    await winner.upload(resultText());
    await until(async () => (await readBuild(server.url, id)).state === "finished", "the result");
    await until(async () => controller.wakeUps.count === 2, "two agents that wait for another build");
    const { attempts } = await readBuild(server.url, id);
    const states = first === "former" ? ["finished", "superseded"] : ["superseded", "finished"];
    assert.deepEqual(
      attempts.map(({ state }) => state),
      states,
    );
    for (const { child } of [stopped, other]) child.kill("SIGTERM");
    const ended = await Promise.all([stopped.ended, other.ended]);
    await until(async () => controller.wakeUps.count === 0, "the end of their waits");
    const { stderr } = ended[loser === former ? 0 : 1]!;
    assert.match(stderr, /INFO: task given up: nobody waits for its result any more/);
    assert.deepEqual(readdirSync(loser.at("spool", "default-1")), ["lock"], "nothing was refused");
  }
});
