/** Reports of tests that come with artifacts: what the interface, the page and the terminal tell of them, without any secret. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { description } from "../../../controller/client/show.ts";
import { rawSignature } from "../authentication/proof.ts";
import { sendResult } from "../farm.ts";
import {
  askForTask,
  bearer,
  call,
  fetchHanded,
  openSecretFarm,
  setSecret,
  submitAs,
  type SecretFarm,
} from "../secrets/farm.ts";

const value = "correct-horse-battery";
let farm: SecretFarm;
before(async () => {
  farm = await openSecretFarm();
  await setSecret(farm.url, "DEPLOY_KEY", value);
});
after(() => farm[Symbol.asyncDispose]());

const report = `<testsuites><testsuite name="suite">
<testcase name="logs in" time="1.25"><failure message="got ${value}&lt;b&gt;">at ${value}
  line 2</failure></testcase>
<testcase name="is fine" time="0.25"/><testcase name="later"><skipped/></testcase></testsuite></testsuites>`;

test("tests are counted, and those that failed shown with their reason, in which no secret stands", async () => {
  const { url, key } = farm;
  const { id } = (await submitAs(url, "trusted", { secrets: ["DEPLOY_KEY"] })).json.builds[0];
  const { headers, task } = await askForTask(url, key);
  await fetchHanded(headers.get("croft-secrets-url")!, key);
  const form = new FormData();
  form.set("session", task.session);
  form.set("challenge", rawSignature(key, task.challenge!));
  for (const [name, content] of [
    ["unit.xml", report],
    ["broken.xml", "<testsuite><testcase/>"],
    ["notes.txt", "no report"],
  ] as const) {
    form.append("sha256", createHash("sha256").update(content).digest("hex"));
    form.append("file", new Blob([content]), name);
  }
  const sent = await fetch(task.uploadUrls["report"]!, { method: "POST", body: form });
  assert.equal(sent.status, 204, await sent.text());
  const answer = rawSignature(key, task.challenge!);
  assert.equal((await sendResult(task, "error", [["test", "error", "no\n"]], answer)).status, 204);

  const { json, text } = await call(`${url}/api/v1/builds/${id}`, "GET", undefined, bearer("read"));
  const stars = "*".repeat(value.length);
  const { tests, failures, errors, skipped, seconds, failed, reports } = json.tests;
  assert.deepEqual([tests, failures, errors, skipped, seconds], [4, 1, 0, 1, 1.5]);
  assert.deepEqual(failed, [
    {
      ...{ report: "unit.xml", suite: "suite", name: "logs in", kind: "failure", seconds: 1.25 },
      ...{ message: `got ${stars}<b>`, details: `at ${stars}\n  line 2` },
    },
  ]);
  assert.match(reports[0].trouble, /it is no XML: unclosed root tag/);
  assert.deepEqual([reports.length, reports[1].trouble], [2, null]);
  assert.equal(json.artifacts.length, 3);

  const shown = description(json);
  assert.match(shown, /tests +4, 1 failed, 1 skipped, in 1\.5 s/);
  assert.match(shown, /^suite logs in +failure +got \*{21}<b>$/m);
  assert.match(shown, /broken\.xml cannot be read: it is no XML/);
  const page = await call(`${url}/builds/${id}`, "GET", undefined, {
    ...bearer("read"),
    accept: "text/html",
  });
  assert.match(page.text, /<h2>Tests<\/h2>\s*<p>4, 1 failed, 1 skipped, in 1\.5 s<\/p>/);
  assert.ok(page.text.includes(`got ${stars}&lt;b&gt;`));
  assert.ok(![text, shown, page.text].some((one) => one.includes(value)));
});
