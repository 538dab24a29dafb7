/** Secrets on their way: who may have builds with them, which agent is given them, who may read of such builds. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { rawSignature } from "../authentication/proof.ts";
import { makeKey } from "../authentication/proof.ts";
import { sendLog, sendResult } from "../farm.ts";
import {
  type Json,
  askForTask,
  bearer,
  call,
  fetchHanded,
  openSecretFarm,
  setSecret,
  submitAs,
  type SecretFarm,
} from "./farm.ts";

const value = "correct-horse-battery";
let farm: SecretFarm;
before(async () => {
  farm = await openSecretFarm();
  await setSecret(farm.url, "DEPLOY_KEY", value);
  await setSecret(farm.url, "TEAM_KEY", "another-longish-value", "https://git.example.org/team");
});
after(() => farm[Symbol.asyncDispose]());

describe("who may have secrets in a build", () => {
  const refused: [what: string, role: "submit" | "trusted", changes: object, reason: RegExp][] = [
    [
      "a token that is not trusted",
      "submit",
      { secrets: ["DEPLOY_KEY"] },
      /secrets go to trusted builds only/,
    ],
    ["a name that there is not", "trusted", { secrets: ["OTHER"] }, /no secret 'OTHER'/],
    ["another repository's secret", "trusted", { secrets: ["TEAM_KEY"] }, /no secret 'TEAM_KEY'/],
    [
      "a repository whose path only begins alike",
      "trusted",
      { secrets: ["TEAM_KEY"], repository: "https://git.example.org/teamster/hello.git" },
      /no secret 'TEAM_KEY'/,
    ],
    ["a person at its screen", "trusted", { secrets: ["DEPLOY_KEY"], interactive: "update" }, /screen/],
    [
      "a password in the URL",
      "trusted",
      { repository: "https://ann:hunter2hunter2@example.org/hello.git" },
      /user or password in it/,
    ],
  ];
  for (const [what, role, changes, reason] of refused)
    test(`not with ${what}`, async () => {
      const { status, json, text } = await submitAs(farm.url, role, changes);
      assert.equal(status, 400);
      assert.match(json.error, reason);
      assert.doesNotMatch(text, /hunter2|correct-horse/);
    });

  test("an administrator alone sets and lists them, and nobody is shown one", async () => {
    for (const role of ["read", "submit", "trusted"] as const)
      assert.equal((await call(`${farm.url}/api/v1/secrets`, "GET", undefined, bearer(role))).status, 403);
    const listed = await call(`${farm.url}/api/v1/secrets`, "GET", undefined, bearer("admin"));
    assert.deepEqual(
      listed.json.secrets.map(({ name, repository }: Json) => [name, repository]),
      [
        ["DEPLOY_KEY", null],
        ["TEAM_KEY", "https://git.example.org/team"],
      ],
    );
    assert.ok(!listed.text.includes(value));
    const short = await call(
      `${farm.url}/api/v1/secrets`,
      "POST",
      { name: "X", value: "1234567" },
      bearer("admin"),
    );
    assert.match(short.json.error, /fewer than 8/);
  });
});

test("a build with a secret: given to the agent that proves who it is, handed to its machine, hidden in all that comes back", async () => {
  const { url, key } = farm;
  const submitted = await submitAs(url, "trusted", { secrets: ["DEPLOY_KEY"] });
  assert.equal(submitted.status, 201, submitted.text);
  const { id } = submitted.json.builds[0];

  // Neither without a proof, nor by an agent that cannot keep them
  for (const who of [{ proof: false }, { abilities: "proof" }])
    assert.equal((await askForTask(url, key, who)).task.session, "");
  const { headers, task } = await askForTask(url, key);
  const secretsUrl = headers.get("croft-secrets-url")!;
  assert.equal(headers.get("croft-trust"), "yes");
  assert.equal(headers.get("croft-suspend"), "no");
  assert.ok(!JSON.stringify(task).includes(value));

  assert.equal((await fetchHanded(secretsUrl, undefined)).status, 401);
  assert.equal((await fetchHanded(secretsUrl, makeKey())).status, 401);
  const handed = await fetchHanded(secretsUrl, key);
  assert.deepEqual([handed.status, handed.text], [200, `: 1\nvariable-DEPLOY_KEY: ${value}\n`]);

  // The log comes in pieces that cut the secret, the result has it in base64
  let offset = 0;
  for (const piece of [`key ${value.slice(0, 5)}`, value.slice(5, 12), `${value.slice(12)} end\n`]) {
    assert.equal((await sendLog(task, offset, piece)).status, 204);
    offset += piece.length;
  }
  const live = await call(`${url}/api/v1/builds/${id}/log`, "GET", undefined, bearer("read"));
  assert.equal(live.text, `key ${"*".repeat(value.length)} end\n`);
  const encoded = Buffer.from(`x${value}y`).toString("base64");
  const sent = await sendResult(
    task,
    "success",
    [["update", "success", `${encoded}\n${value}\n`]],
    rawSignature(key, task.challenge!),
  );
  assert.equal(sent.status, 204, await sent.text());
  const log = await call(`${url}/api/v1/builds/${id}/log`, "GET", undefined, bearer("read"));
  assert.doesNotMatch(log.text, new RegExp(`${value}|${encoded.slice(4, -6)}`));
  assert.match(log.text, /\*{21}/);
  assert.equal((await fetchHanded(secretsUrl, key)).status, 410);

  // Nobody reads of it without a token
  for (const path of [
    "api/v1/builds/ID",
    "api/v1/builds/ID/log",
    "api/v1/builds/ID/events",
    "builds/ID",
    "builds/ID/live",
  ]) {
    const at = (number: number) => `${url}/${path.replace("ID", String(number))}`;
    const [hidden, absent] = [await call(at(id), "GET"), await call(at(987), "GET")];
    assert.equal(hidden.status, 404, path);
    assert.equal(
      hidden.text.replace(`build ${id}`, "build"),
      absent.text.replace("build 987", "build"),
      path,
    );
  }
  assert.equal((await call(`${url}/badge/hello.svg`, "GET")).status, 404);
  assert.equal((await call(`${url}/badge/hello.svg`, "GET", undefined, bearer("read"))).status, 200);
  const list = await call(`${url}/api/v1/builds`, "GET");
  assert.deepEqual(list.json.builds, []);
  assert.ok(!(await call(`${url}/builds`, "GET")).text.includes(`/builds/${id}"`));

  assert.deepEqual(filesWith(farm.farm.directory, value), []);
  assert.ok(!farm.controller.log().includes(value));
});

test("a rebuild has its secrets again only by who is trusted", async () => {
  const { json } = await submitAs(farm.url, "trusted", { secrets: ["DEPLOY_KEY"] });
  const again = (role: "submit" | "trusted") =>
    call(`${farm.url}/api/v1/builds/${json.builds[0].id}/rebuild`, "POST", undefined, bearer(role));
  assert.match((await again("submit")).json.error, /secrets go to trusted builds only/);
  assert.equal((await again("trusted")).status, 201);
});

test("a repository that needs a credential is built for those who have a token, and who is not trusted gets into no other by it", async () => {
  await using own = await openSecretFarm();
  const given = { url: "https://git.example.org/team/", user: "bot", password: "pass-word-1234" };
  const set = await call(`${own.url}/api/v1/credentials`, "POST", given, bearer("admin"));
  assert.equal(set.status, 201, set.text);
  const listed = await call(`${own.url}/api/v1/credentials`, "GET", undefined, bearer("admin"));
  assert.ok(!listed.text.includes("pass-word"));
  for (const [role, scope, place] of [
    ["submit", "exact", "https://git.example.org/team/hello"],
    ["trusted", "below", "https://git.example.org/team"],
  ] as const) {
    const repository = "https://git.example.org/team/hello.git#main";
    assert.equal((await submitAs(own.url, role, { repository })).status, 201);
    const { headers } = await askForTask(own.url, own.key);
    const { text } = await fetchHanded(headers.get("croft-secrets-url")!, own.key);
    assert.equal(
      text,
      `: 1\ncredential-1-url: ${place}\ncredential-1-scope: ${scope}\ncredential-1-user: bot\ncredential-1-password: pass-word-1234\n`,
    );
    assert.equal(headers.get("croft-trust"), role === "trusted" ? "yes" : null);
  }
});

/** Files below a directory that have a text, or its digest, in them. */
function filesWith(directory: string, text: string): string[] {
  const forms = [text, createHash("sha256").update(text).digest("hex"), Buffer.from(text).toString("base64")];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => {
      const content = readFileSync(file);
      return forms.some((form) => content.includes(form));
    });
}
