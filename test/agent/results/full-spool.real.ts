/** A spool without room for artifacts: no file is cut off, and no result of a machine is lost or loses its logs. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { extractArtifacts } from "../../../agent/results/artifacts.ts";
import { isFarmFault } from "../../../agent/results/farm-fault.ts";
import { run } from "../../../os/run.ts";
import type { Result } from "../../../manifests/result.ts";
import { formatResultRequest, parseResultRequest } from "../../../manifests/result-request.ts";
import { FakeController } from "../fake-controller.ts";
import { AgentHome, resultText, task } from "../running-agent.ts";
import { patienceMs } from "../../fixtures/patience.ts";

const artifact = Buffer.alloc(1_000_000, "artifact ");

/** A file system of this size; the spool is to be on it. */
async function mountSpool(home: AgentHome, kibibytes: number): Promise<AsyncDisposable> {
  const path = home.at("spool");
  mkdirSync(path);
  await run(["mount", "-t", "tmpfs", "-o", `size=${kibibytes}k`, "tmpfs", path], { timeoutSeconds: 300 });
  return {
    [Symbol.asyncDispose]: async () => void (await run(["umount", "-l", path], { timeoutSeconds: 300 })),
  };
}

/** An `upload.tar` with the artifact. */
async function makeArchive(home: AgentHome): Promise<string> {
  mkdirSync(home.at("upload", "artifact"), { recursive: true });
  writeFileSync(home.at("upload", "artifact", "file"), artifact);
  await run(["tar", "-C", home.path, "-cf", home.at("upload.tar"), "upload"], { timeoutSeconds: 300 });
  return home.at("upload.tar");
}

/** Gives the task once, then none. */
function giveOnce(controller: FakeController): void {
  const uploads = `artifact-upload-url: ${controller.url("/up")}\n`;
  const responses = [`: 1\nsession: s\nresult-url: ${controller.url("/result")}\n${uploads}:\n${task}`];
  controller.answer = ({ path }) =>
    path.startsWith("/task") ? { body: responses.shift() ?? ": 1\nsession:\n" } : { status: 204 };
}

/** Waits for words of an agent, so often. */
async function untilSaid({ child }: ReturnType<AgentHome["start"]>, words: string, times = 1): Promise<void> {
  let said = "";
  const signal = AbortSignal.timeout(patienceMs);
  while (said.split(words).length <= times) {
    const [chunk] = (await once(child.stderr!, "data", { signal })) as [Buffer];
    said += chunk.toString();
  }
}

async function stop(agent: ReturnType<AgentHome["start"]>): Promise<void> {
  agent.child.kill("SIGTERM");
  const { status, stderr } = await agent.ended;
  assert.equal(status, 0, stderr);
}

/** A task whose agent was killed after its machine had uploaded everything. */
async function crash(home: AgentHome, controller: FakeController): Promise<{ entry: string; put: string }> {
  giveOnce(controller);
  const agent = home.start([controller.url("/task")]);
  await home.readTask();
  agent.child.kill("SIGKILL");
  await agent.ended;
  const put = home.at("tftp", "build", "default-1", "put");
  writeFileSync(join(put, "upload.tar"), readFileSync(await makeArchive(home)));
  writeFileSync(join(put, "result.manifest"), resultText());
  const spool = home.at("spool", "default-1");
  const entry = readdirSync(spool).find((name) => /^\d{8}T/.test(name))!;
  return { entry: join(spool, entry), put };
}

const waiting = "what a machine left not taken yet";

test("artifacts for which there is no room are not taken in part", async () => {
  await using home = await AgentHome.make();
  const archive = await makeArchive(home);
  await using _ = await mountSpool(home, 600);
  await assert.rejects(
    extractArtifacts(archive, home.at("spool", "uploads"), 10_000_000),
    (error: Error) => isFarmFault(error) && /no space left on device/.test(error.message),
  );
  assert.deepEqual(readdirSync(home.at("spool")), []);
});

test("a result keeps its logs when there is no room for its artifacts", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  await using _ = await mountSpool(home, 600);
  giveOnce(controller);
  const agent = home.start([controller.url("/task")]);
  await home.readTask();
  const put = home.at("tftp", "build", "default-1", "put");
  writeFileSync(join(put, "upload.tar"), readFileSync(await makeArchive(home)));
  await home.upload(resultText());
  const [sent] = await controller.requests("/result", 1);
  const { result } = parseResultRequest(sent!.body);
  assert.equal(result.status, "abort");
  assert.deepEqual(result.operations, [
    { name: "update", status: "success", log: "as expected" },
    { name: "agent", status: "abort", log: "Cannot extract 'upload.tar': no space left on device\n" },
  ]);
  assert.deepEqual(await controller.requests("/up", 0), []);
  await stop(agent);
});

test("after a crash a complete result waits for room for its artifacts, through a restart", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  await using _ = await mountSpool(home, 1200);
  const { entry, put } = await crash(home, controller);
  writeFileSync(home.at("spool", "ballast"), Buffer.alloc(600 * 1024));
  const next = home.start([controller.url("/task")]);
  await untilSaid(next, waiting, 2);
  await stop(next);
  assert.deepEqual(readdirSync(put).sort(), ["result.manifest", "upload.tar"]);
  assert.equal(statSync(join(entry, "recovery")).size, 0);
  assert.equal(existsSync(join(entry, "result.manifest")), false);
  const last = home.start([controller.url("/task")]);
  await untilSaid(last, waiting);
  await rm(home.at("spool", "ballast"));
  const [sent] = await controller.requests("/result", 1);
  assert.equal(parseResultRequest(sent!.body).result.status, "success");
  const [upload] = await controller.requests("/up", 1);
  assert.ok(upload!.body.includes(artifact));
  await stop(last);
});

test("earlier results that the spool is full of are sent while a later one waits for room", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  await using _ = await mountSpool(home, 1200);
  await crash(home, controller);
  const earlier = home.at("spool", "default-1", "20260101T000000000Z-aaaaaa");
  const uploadUrls = { artifact: controller.url("/up") };
  const assignment = { session: "earlier", resultUrl: controller.url("/result"), uploadUrls, task };
  mkdirSync(join(earlier, "uploads", "artifact"), { recursive: true });
  writeFileSync(join(earlier, "assignment.json"), JSON.stringify(assignment));
  writeFileSync(join(earlier, "uploads", "artifact", "large"), Buffer.alloc(600 * 1024));
  const result: Result = { name: "hello", version: "1.0", status: "success", operations: [] };
  const request = { session: "earlier", agentChecksum: "1", result };
  writeFileSync(join(earlier, "result.manifest"), formatResultRequest(request));
  const next = home.start([controller.url("/task")]);
  const sent = await controller.requests("/result", 2);
  assert.deepEqual(
    sent.map(({ body }) => parseResultRequest(body)).map(({ session, result }) => [session, result.status]),
    [
      ["earlier", "success"],
      ["s", "success"],
    ],
  );
  await stop(next);
});
