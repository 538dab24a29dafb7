/** Who is given a task: agents that prove who they are, that only say so, or that say nothing. */
import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { writeFileSync } from "node:fs";
import { once } from "node:events";
import { request, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { AgentProofs } from "../../../controller/authentication/proofs.ts";
import { openEmbedded } from "../../../controller/database/embedded.ts";
import { migrate } from "../../../controller/database/migrations.ts";
import { openServer } from "../../../controller/database/server.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { layDatabase } from "../../fixtures/databases.ts";
import { makeFarm, type Farm, type RunningController } from "../farm.ts";
import { noPostgres, startPostgres } from "../database/postgres.ts";
import {
  ask,
  makeKey,
  now,
  proofOf,
  rawSignature,
  stateOf,
  submitBuild,
  taskRequest,
  token,
  withProof,
  writeKeys,
} from "./proof.ts";

const [agent, second, stranger] = [makeKey(), makeKey(), makeKey()];

/** Starts farms whose controllers know the first two keys. */
async function farmWithKeys(configuration: string): Promise<Farm> {
  const farm = await makeFarm();
  const keys = writeKeys(farm.directory, agent, second);
  writeFileSync(
    join(farm.directory, "controller.yaml"),
    `${token.configuration}agents: { keys: ${keys} }\n${configuration}`,
  );
  return farm;
}

const body = taskRequest(agent.fingerprint);
const otherBody = Buffer.concat([body, Buffer.from("\n")]);

/** What is asked: the body, and the headers for a URL. */
type Case = [what: string, body: Uint8Array<ArrayBuffer>, headers: (url: string) => Record<string, string>];

const proven = (changes: object = {}, key = agent) => {
  return (url: string) => withProof(proofOf(key, { url, body, ...changes }));
};
const nothing = () => ({});

const strangers: Case[] = [
  ["no key", taskRequest(), nothing],
  ["no key, but a proof of a known one", taskRequest(), proven({ body: taskRequest() })],
  ["an unknown key", taskRequest(stranger.fingerprint), nothing],
  [
    "an unknown key's proof",
    taskRequest(stranger.fingerprint),
    proven({ body: taskRequest(stranger.fingerprint) }, stranger),
  ],
];

const claims: [...Case, reason: RegExp][] = [
  ["a known fingerprint without its key", body, nothing, /not signed with the agent's key \(Croft-Proof\)/],
  ["an empty proof", body, () => withProof(""), /is not TIME NONCE SIGNATURE/],
  ["a proof of another known key", body, proven({}, second), /not signed with the key of the fingerprint/],
  ["a proof of an unknown key", body, proven({}, stranger), /not signed with the key of the fingerprint/],
  [
    "a challenge's answer for a proof",
    body,
    () => withProof(`${now()} ${"n".repeat(22)} ${rawSignature(agent, "c".repeat(64))}`),
    /not signed with the key of the fingerprint/,
  ],
  ["a stale proof", body, (url) => proven({ time: now() - 130 })(url), /the agent's clock is 1\d\d s behind/],
  [
    "a proof of the future",
    body,
    (url) => proven({ time: now() + 250 })(url),
    /the agent's clock is 2\d\d s ahead/,
  ],
  ["a proof of another body", body, proven({ body: otherBody }), /not of this request/],
  ["a proof of another path", body, (url) => proven({ url: `${url}/x` })(url), /not of this request/],
  [
    "a proof of another controller, forwarded",
    body,
    proven({ url: "http://other.example/agent/task" }),
    /has to ask http:\/\/127\.0\.0\.1:\d+\/agent\/task,/,
  ],
  ["a proof of another method", body, proven({ method: "GET" }), /not of this request/],
  [
    "a proof whose time was changed",
    body,
    (url) => withProof(proven({ time: now() - 130 })(url)["croft-proof"].replace(/^\d+/, String(now()))),
    /not of this request/,
  ],
  [
    "a proof whose nonce was changed",
    body,
    (url) => withProof(proven()(url)["croft-proof"].replace(/ \S+ /, ` ${"n".repeat(22)} `)),
    /not of this request/,
  ],
];

describe("a private controller", () => {
  let farm: Farm;
  let controller: RunningController;
  let url: string;
  let build: number;
  before(async () => {
    farm = await farmWithKeys("private: true\n");
    controller = await farm.start();
    url = `${controller.url}/agent/task`;
    build = await submitBuild(controller.url);
  });
  after(() => farm[Symbol.asyncDispose]());

  for (const [what, sent, headers] of strangers)
    test(`gives nothing to ${what}`, async () => {
      const answer = await ask(url, sent, headers(url));
      assert.ok([401, 403].includes(answer.status), answer.text);
      assert.equal(await stateOf(controller.url, build), "queued");
    });

  for (const [what, sent, headers, reason] of claims)
    test(`gives nothing to ${what}, and says why`, async () => {
      const answer = await ask(url, sent, headers(url));
      assert.equal(answer.status, 401, answer.text);
      assert.match(answer.text, reason);
      assert.equal(await stateOf(controller.url, build), "queued");
    });

  test("gives a task for a proof, once, also after a restart", async () => {
    const headers = proven()(url);
    const given = await ask(url, body, headers);
    assert.equal(given.status, 200, given.text);
    assert.match(given.text, /^session: \S/m);
    const replayed = await ask(url, body, headers);
    assert.equal(replayed.status, 401);
    assert.match(replayed.text, /the proof was used before/);
    const port = new URL(controller.url).port;
    await controller.end("SIGKILL");
    controller = await farm.start("--listen", `127.0.0.1:${port}`);
    assert.match((await ask(url, body, headers)).text, /the proof was used before/);
    assert.equal((await ask(url, body, proven()(url))).status, 200);
  });

  test("takes a proof whose time is a minute and a half away, either way", async () => {
    for (const seconds of [-90, 90]) {
      const answer = await ask(url, body, proven({ time: now() + seconds })(url));
      assert.equal(answer.status, 200, answer.text);
    }
  });

  test("takes the same nonce from another key", async () => {
    const nonce = "n".repeat(24);
    const other = taskRequest(second.fingerprint);
    assert.equal((await ask(url, body, proven({ nonce })(url))).status, 200);
    assert.equal((await ask(url, other, proven({ nonce, body: other }, second)(url))).status, 200);
  });

  test("believes no Host header, and knows localhost", async () => {
    const local = url.replace("127.0.0.1", "localhost");
    assert.equal((await ask(url, body, proven({ url: local })(url))).status, 200);
    const elsewhere = { url: "http://other.example/agent/task" };
    const headers = { ...proven(elsewhere)(url), "content-type": "text/manifest", host: "other.example" };
    const sent = request(url, { method: "POST", headers }).end(body); // fetch does not let us say the host
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    answer.resume();
    assert.equal(answer.statusCode, 401);
  });

  test("shows nothing else to who knows a fingerprint", async () => {
    const headers = { ...withProof(""), "croft-fingerprint": agent.fingerprint };
    const get = async (path: string) => (await fetch(controller.url + path, { headers })).status;
    for (const path of [
      "/",
      "/builds",
      `/builds/${build}`,
      "/api/v1/builds",
      `/api/v1/builds/${build}`,
      `/api/v1/builds/${build}/log`,
      `/api/v1/builds/${build}/events`,
      "/api/v1/events",
      `/api/v1/builds/${build}/artifacts/${"0".repeat(64)}/x`,
      "/api/v1/status",
    ])
      assert.ok([401, 404].includes(await get(path)), path);
    for (const path of [
      "result",
      `log/${agent.fingerprint}?offset=0`,
      `upload/${agent.fingerprint}/package`,
    ]) {
      const { status } = await ask(`${controller.url}/agent/${path}`, body);
      assert.ok(status >= 400 && status < 500, `${path}: ${status}`);
    }
  });
});

test("a private controller behind a proxy takes proofs of its public URL, below a path too", async () => {
  await using farm = await farmWithKeys("private: true\npublic-url: https://Farm.example:443/croft/\n");
  const { url } = await farm.start();
  const answer = (signed: string, path = "/agent/task") =>
    ask(url + path, body, proven({ url: signed })(url));
  assert.equal((await answer("https://farm.example/croft/agent/task")).status, 200);
  assert.equal((await answer("https://farm.example/croft/agent/task?x=1", "/agent/task?x=1")).status, 200);
  assert.equal((await answer("https://farm.example/agent/task")).status, 401);
  const direct = await answer(`${url}/agent/task`);
  assert.equal(direct.status, 401);
  assert.match(direct.text, /has to ask https:\/\/Farm.example:443\/croft\/agent\/task,/);
});

test("a controller with keys that is not private serves agents that cannot prove, as before", async () => {
  await using farm = await farmWithKeys("");
  const controller = await farm.start();
  const url = `${controller.url}/agent/task`;
  for (const [what, sent, headers] of strangers)
    assert.ok([401, 403].includes((await ask(url, sent, headers(url))).status), what);
  for (const [what, sent, headers] of claims)
    assert.equal((await ask(url, sent, headers(url))).status, 200, what);
  const headers = proven()(url);
  for (const _ of [1, 2]) assert.equal((await ask(url, body, headers)).status, 200);
  await submitBuild(controller.url);
  assert.match((await ask(url, body)).text, /^challenge: [0-9a-f]{64}$/m);
});

test("a controller without keys serves any agent, whatever it proves", async () => {
  await using farm = await makeFarm(token.configuration);
  const url = `${(await farm.start()).url}/agent/task`;
  for (const [what, sent, headers] of [...strangers, ...claims])
    assert.equal((await ask(url, sent, headers(url))).status, 200, what);
});

describe("private controllers on one database server", { skip: noPostgres }, () => {
  test("take a proof once among them, also at the same time", async () => {
    await using server = await startPostgres();
    await using farm = await farmWithKeys(
      `private: true\npublic-url: https://farm.example\ndatabase: ${server.url}\n`,
    );
    const urls = (await Promise.all([farm.start(), farm.start()])).map(({ url }) => `${url}/agent/task`);
    for (let round = 0; round < 10; round++) {
      const headers = proven({ url: "https://farm.example/agent/task" })("");
      const answers = await Promise.all([...urls, ...urls].map((url) => ask(url, body, headers)));
      assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 401, 401, 401]);
    }
  });
});

for (const kind of ["embedded", "server"] as const)
  test(
    `nonces are forgotten when they have no value any more: ${kind}`,
    {
      skip: kind === "server" && noPostgres,
    },
    async () => {
      await using stack = new AsyncDisposableStack();
      const directory = stack.use(await temporaryDirectory("croft-test-controller-"));
      if (kind === "embedded") await layDatabase(directory.path);
      const database = stack.use(
        kind === "embedded"
          ? await openEmbedded(join(directory.path, "database"))
          : await openServer(stack.use(await startPostgres()).url, assert.ifError),
      );
      await migrate(database);
      for (const age of [121, 300])
        await database.query("insert into croft.proofs values ('f', $1, $2)", [`age ${age}`, now() - age]);
      const known = { fingerprint: agent.fingerprint, key: createPublicKey(agent.publicPem) };
      const [url, nonce] = ["http://farm.example/agent/task", "n".repeat(22)];
      const proofs = new AgentProofs(database);
      const request = { method: "POST", urls: [url], body };
      assert.equal(await proofs.refusal(known, proofOf(agent, { url, body, nonce }), request), undefined);
      const rows = await database.query<{ nonce: string }>("select nonce from croft.proofs order by nonce");
      assert.deepEqual(
        rows.map((row) => row.nonce),
        ["age 121", nonce],
      );
    },
  );
