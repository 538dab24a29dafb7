/** Working trees at the controller: who may send one, which agent gets it, who reads of it, and when it goes. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { Header } from "tar";
import { startServer } from "../../../controller/server.ts";
import { makeKey, proofOf, rawSignature } from "../authentication/proof.ts";
import { postTaskRequest, receivedTask, sendResult } from "../farm.ts";
import { openFarm } from "../in-process.ts";
import {
  askForTask,
  bearer,
  call,
  fetchHanded,
  openSecretFarm,
  type Json,
  type SecretFarm,
} from "../secrets/farm.ts";

const commit = "a".repeat(40);
const content = "nobody else is to read this\n";

function archiveOf(path: string, text = content): Buffer {
  const block = Buffer.alloc(512);
  new Header({ path, type: "File", mode: 0o644, size: Buffer.byteLength(text) }).encode(block);
  return gzipSync(Buffer.concat([block, Buffer.from(text.padEnd(512, "\0")), Buffer.alloc(1024)]));
}

const archive = archiveOf("./secret.txt");

/** Sends a working tree. */
async function send(
  url: string,
  headers: Record<string, string> = {},
  { submission = {}, body = archive }: { submission?: object | string; body?: Buffer } = {},
): Promise<{ status: number; json: Json }> {
  const form = new FormData();
  const what = typeof submission === "string" ? submission : JSON.stringify({ name: "hello", ...submission });
  form.set("submission", what);
  form.set("archive", new Blob([new Uint8Array(body)]), "tree.tar.gz");
  const response = await fetch(`${url}/api/v1/trees`, { method: "POST", headers, body: form });
  return { status: response.status, json: await response.json() };
}

describe("a controller that knows people and agents", () => {
  let farm: SecretFarm;
  let url = "";
  before(async () => {
    farm = await openSecretFarm();
    ({ url } = farm);
  });
  after(() => farm?.[Symbol.asyncDispose]());

  const proven = (target: string) => {
    const body = Buffer.from("tree\n");
    const headers = {
      "content-type": "text/manifest",
      "croft-proof": proofOf(farm.key, { url: target, body }),
    };
    return { method: "POST", headers, body };
  };
  const stored = () => {
    const blobs = join(farm.farm.directory, "data", "blobs");
    return readdirSync(blobs, { recursive: true, withFileTypes: true }).filter((one) => one.isFile()).length;
  };

  test("takes nothing from strangers and readers, nor what is no archive of a tree, and keeps nothing of it", async () => {
    const before = stored();
    assert.equal((await send(url)).status, 401);
    assert.equal((await send(url, { authorization: "Bearer wrong" })).status, 401);
    assert.equal((await send(url, bearer("read"))).status, 403);
    const refused: [given: Parameters<typeof send>[2], status: number, reason: RegExp][] = [
      [
        { body: archiveOf("../../etc/cron.d/x") },
        400,
        /'\.\.\/\.\.\/etc\/cron\.d\/x' in it leads out of the directory/,
      ],
      [{ body: Buffer.from("no archive") }, 400, /it is no archive that gzip has compressed/],
      [{ submission: { targets: ["vax"] } }, 400, /there is no target 'vax'/],
      [{ submission: { repository: "https://x.org/x.git" } }, 400, /'submission'/],
      [{ submission: { commit: "; rm -rf /" } }, 400, /'submission'/],
      [{ submission: { name: "a b" } }, 400, /'submission'/],
      [{ submission: "no JSON" }, 400, /is no JSON/],
      [{ submission: { secrets: ["KEY"] } }, 400, /secrets go to trusted builds only/],
      [
        { submission: { interactive: "update" } },
        400,
        /the screen of an interactive build would read its working tree/,
      ],
      // In the middle of what is sent
      [{ body: Buffer.alloc(20 << 20) }, 400, /no archive/],
      [{ submission: { targets: ["vax"] }, body: Buffer.alloc(20 << 20) }, 400, /no target 'vax'/],
    ];
    for (const [given, status, reason] of refused) {
      const answer = await send(url, bearer("submit"), given);
      assert.equal(answer.status, status, JSON.stringify(answer.json));
      assert.match(answer.json.error, reason);
    }
    const named = { name: "hello", repository: `tree:hello#${commit}` };
    const forged = await call(`${url}/api/v1/builds`, "POST", named, bearer("submit"));
    assert.match(forged.json.error, /a working tree is sent, and has no URL/);
    assert.equal(stored(), before);
  });

  test("hands it to the agent that builds it, by a proof, and to nobody else; only people with a token read of the build", async () => {
    const { status, json } = await send(url, bearer("submit"), { submission: { commit, changed: true } });
    assert.equal(status, 201, JSON.stringify(json));
    const { id, repository } = json.builds[0];
    assert.equal(repository, `tree:hello#${commit}+changes`);

    for (const path of ["api/v1/builds/ID", "api/v1/builds/ID/log", "builds/ID"])
      assert.equal((await call(`${url}/${path.replace("ID", id)}`, "GET")).status, 404, path);
    const shown = await call(`${url}/builds/${id}`, "GET", undefined, bearer("read"));
    assert.match(shown.text, /working tree &#39;hello&#39; at commit aaaaaaaaaaaa… with changes/);

    // Neither to one of an earlier version, nor to one that only knows the fingerprint
    for (const who of [{ abilities: "proof, secrets, variables" }, { proof: false, abilities: "trees" }])
      assert.equal((await askForTask(url, farm.key, who)).task.session, "");
    const waits = await call(`${url}/api/v1/builds/${id}`, "GET", undefined, bearer("read"));
    assert.match(waits.json.waiting, /^it is a working tree, and no agent with such a machine may have one/);
    const { headers, task } = await askForTask(url, farm.key, { abilities: "proof, trees" });
    const treeUrl = headers.get("croft-tree-url")!;
    assert.deepEqual(
      ["croft-secrets-url", "croft-trust", "croft-suspend"].map((name) => headers.get(name)),
      [null, null, "no"],
    );
    assert.ok(!JSON.stringify(task).includes("secret.txt"));

    assert.equal((await fetchHanded(treeUrl, undefined)).status, 401);
    assert.equal((await fetchHanded(treeUrl, makeKey())).status, 401);
    assert.equal((await fetchHanded(treeUrl.replace(/\w{4}$/, "aaaa"), farm.key)).status, 410);
    assert.equal((await call(treeUrl, "GET", undefined, bearer("admin"))).status, 404);
    const handed = await fetch(treeUrl, proven(treeUrl));
    assert.equal(handed.status, 200);
    assert.deepEqual(Buffer.from(await handed.arrayBuffer()), archive);

    const sent = await sendResult(
      task,
      "success",
      [["update", "success", "fine"]],
      rawSignature(farm.key, task.challenge!),
    );
    assert.equal(sent.status, 204, await sent.text());
    assert.equal((await fetchHanded(treeUrl, farm.key)).status, 410);

    // Built again, it is there still
    const again = await call(`${url}/api/v1/builds/${id}/rebuild`, "POST", undefined, bearer("submit"));
    assert.equal(again.status, 201);
    const second = await askForTask(url, farm.key, { abilities: "proof, trees" });
    assert.equal((await fetchHanded(second.headers.get("croft-tree-url")!, farm.key)).status, 200);
  });
});

test("whoever reaches a controller that knows no agent could be one: only people of its own host send it working trees", async () => {
  for (const [configuration, reason] of [
    ["listen: 0.0.0.0:0\n", /handed to whoever reaches this controller .*: no key of an agent is known/],
    ["listen: 127.0.0.1:0\npublic-url: https://farm.example.org\n", /handed to whoever reaches/],
    ["listen: 127.0.0.1:0\ntrusted-proxies: [127.0.0.1]\n", /handed to whoever reaches/],
  ] as const) {
    await using controller = await openFarm("embedded", configuration);
    await using server = await startServer(controller);
    const { status, json } = await send(server.url.replace("0.0.0.0", "127.0.0.1"));
    assert.equal(status, 400, JSON.stringify(json));
    assert.match(json.error, reason);
  }
});

test("on one's own host it takes neither keys nor tokens; the tree goes with the last of its builds", async () => {
  await using controller = await openFarm("embedded", "listen: 127.0.0.1:0\nretention: { days: 1 }\n");
  await using server = await startServer(controller);
  const { url } = server;
  assert.equal((await send(url)).status, 201);
  // Another one of the same content
  assert.equal((await send(url, {}, { submission: { name: "other" } })).status, 201);
  for (let count = 0; count < 2; count++) {
    const answer = await postTaskRequest(url, {}, "; trees");
    const treeUrl = answer.headers.get("croft-tree-url")!;
    const handed = await fetch(treeUrl, {
      method: "POST",
      headers: { "content-type": "text/manifest" },
      body: "tree\n",
    });
    assert.deepEqual(Buffer.from(await handed.arrayBuffer()), archive);
    const task = await receivedTask(answer);
    assert.equal((await sendResult(task, "error", [["update", "error", ""]])).status, 204);
  }
  const isThere = async () => {
    await controller.database.query("update croft.blobs set used_at = now() - interval '2 hours'");
    const would = await controller.retention.preview();
    const report = await controller.retention.prune();
    assert.deepEqual(would, report);
    const rows = await controller.database.query("select 1 from croft.blobs where bytes = $1", [
      archive.length,
    ]);
    return rows.length > 0;
  };
  const age = (name: string) =>
    controller.database.query(
      "update croft.builds set finished_at = now() - interval '2 days' where name = $1",
      [name],
    );
  assert.ok(await isThere());
  await age("hello");
  assert.ok(await isThere());
  await age("other");
  assert.ok(!(await isThere()));
});
