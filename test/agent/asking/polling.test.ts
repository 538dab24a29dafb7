import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openSigner } from "../../../agent/wire/signing.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { makeKey } from "../../controller/authentication/proof.ts";
import { Unreachable } from "../../../agent/wire/answers.ts";
import { HttpClient } from "../../../agent/wire/http.ts";
import { Polling } from "../../../agent/asking/polling.ts";
import { silentLog } from "../../../os/log.ts";
import type { TaskRequest } from "../../../manifests/task-request.ts";
import { FakeController } from "../fake-controller.ts";

const request: TaskRequest = {
  agent: "host",
  toolchainName: "default",
  toolchainVersion: "1",
  machines: [{ id: "m-1", name: "m", summary: "a machine" }],
} as unknown as TaskRequest;

/** A controller that fails after so many seconds; when it is asked, in seconds of a clock of our own. */
async function timesAsked(failsAfterSeconds: number, untilSeconds: number): Promise<number[]> {
  let now = 0;
  const times: number[] = [];
  const client = {
    postManifest: () => {
      times.push(now / 1000);
      now += failsAfterSeconds * 1000;
      return Promise.reject(new Unreachable("ask", "it is down"));
    },
  } as unknown as HttpClient;
  const controllers = [{ url: "http://controller.example/task", priority: 0 }];
  const polling = new Polling({
    ...{
      controllers,
      client,
      signer: undefined,
      requestTimeoutSeconds: 60,
      requestRetries: 4,
      log: silentLog(),
    },
    now: () => now,
  });
  for (; now < untilSeconds * 1000; now += 1000)
    assert.equal(await polling.ask(() => request, new AbortController().signal), undefined);
  return times;
}

test("a controller that refuses at once is asked again after 1, 2, 4… seconds", async () => {
  assert.deepEqual(await timesAsked(0, 20), [0, 1, 3, 7, 15]);
});

test("one that keeps the host waiting is left alone for minutes: its machines are locked meanwhile", async () => {
  assert.deepEqual(await timesAsked(60, 1200), [0, 120, 300, 600, 1140]);
});

test("a request for a task is retried once, however often others are: machines are locked meanwhile", async () => {
  await using controller = await FakeController.start();
  controller.answer = () => ({ status: 503 });
  const [requestTimeoutSeconds, requestRetries] = [300, 4];
  const client = new HttpClient({
    agent: "test",
    connectTimeoutSeconds: 30,
    requestTimeoutSeconds,
    requestRetries,
  });
  const polling = new Polling({
    controllers: [{ url: controller.url("/task"), priority: 0 }],
    ...{ client, signer: undefined, requestTimeoutSeconds, requestRetries, log: silentLog() },
  });
  assert.equal(await polling.ask(() => request, new AbortController().signal), undefined);
  assert.equal(controller.received.length, 2);
});

test("each attempt of a signed request has a proof of its own: the controller would take a second one for a replay", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const file = join(directory.path, "agent.key");
  writeFileSync(file, makeKey().privatePem);
  await using controller = await FakeController.start();
  controller.answer = () => ({ status: 503 });
  const limits = { requestTimeoutSeconds: 300, requestRetries: 4 };
  const polling = new Polling({
    controllers: [{ url: controller.url("/task"), priority: 0 }],
    client: new HttpClient({ agent: "test", connectTimeoutSeconds: 30, ...limits }),
    ...{ signer: await openSigner(file), ...limits, log: silentLog() },
  });
  assert.equal(await polling.ask(() => request, new AbortController().signal), undefined);
  const proofs = controller.received.map(({ headers }) => String(headers["croft-proof"]));
  assert.equal(proofs.length, 2);
  assert.equal(new Set(proofs.map((proof) => proof.split(" ")[1])).size, 2, proofs.join("\n"));
});

test("no controller gets a proof signed as its challenge", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const file = join(directory.path, "agent.key");
  writeFileSync(file, makeKey().privatePem);
  const signer = await openSigner(file);
  await assert.rejects(
    signer.sign(`croft-proof ${"0".repeat(64)}`),
    /would pass for a proof to another controller/,
  );
  await signer.sign("croft");
});
