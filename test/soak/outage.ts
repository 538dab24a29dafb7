/** A controller that is not there at the moment of the result, and comes back. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseResultRequest } from "../../manifests/result-request.ts";
import { FakeController } from "../agent/fake-controller.ts";
import { AgentHome, resultText, task } from "../agent/running-agent.ts";
import { until } from "./farm.ts";

/** @returns a line of figures. */
export async function outage(downSeconds: number): Promise<string> {
  await using home = await AgentHome.make();
  const first = await FakeController.start();
  const { port } = first;
  const url = first.url("/task");
  let given = false;
  first.answer = () => {
    const text = `: 1\nsession: down\nresult-url: ${first.url("/result")}\n:\n${task}`;
    const body = given ? ": 1\nsession:\n" : text;
    given = true;
    return { body };
  };
  const agent = home.start(["--request-retries", "0", url]);
  await home.readTask();
  await first[Symbol.asyncDispose]();
  const downAt = Date.now();
  await home.upload(resultText());
  const spool = home.at("spool", "default-1");
  const waiting = () => readdirSync(spool).filter((name) => existsSync(join(spool, name, "result.manifest")));
  await until(() => waiting().length === 1, "the result to be written down", 60);
  await sleep(Math.max(0, downAt + downSeconds * 1000 - Date.now()));
  assert.equal(waiting().length, 1);

  await using second = await FakeController.start(port);
  const upAt = Date.now();
  // Pauses are at most as long as the time before.
  const [result] = await second.requests("/result", 1, 3 * downSeconds + 60);
  const afterSeconds = Math.round((Date.now() - upAt) / 1000);
  const { session, result: told } = parseResultRequest(result!.body);
  assert.deepEqual([session, told.status], ["down", "success"]);
  await second.requests("/task", 2, 3 * downSeconds + 60);
  assert.equal(second.received.filter(({ path }) => path === "/result").length, 1);
  await until(() => waiting().length === 0, "the accepted result to leave the spool", 60);
  agent.child.kill("SIGTERM");
  assert.equal((await agent.ended).status, 0);
  return `a controller that was down for ${downSeconds} s had the result ${afterSeconds} s after it was back, once`;
}
