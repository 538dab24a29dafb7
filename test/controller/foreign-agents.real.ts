/** Agents of other makes: what they are given, and artifacts as their curl sends them. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { formatTaskRequest } from "../../manifests/task-request.ts";
import { parseTaskResponse, type TaskResponse } from "../../manifests/task-response.ts";
import { run } from "../../os/run.ts";
import { makeKey, rawSignature, writeKeys } from "./authentication/proof.ts";
import { makeFarm, post, readBuild, requestTask, sendResult, submit, type Farm } from "./farm.ts";

const key = makeKey();

/** As {@link requestTask}, without a word of croft. */
async function askAsOther(url: string): Promise<TaskResponse> {
  const body = formatTaskRequest({
    agent: "other",
    toolchainName: "queue",
    toolchainVersion: "0.18.0-a.0.20240101.abc",
    machines: [{ id: "debian_13-1.0", name: "debian_13", summary: "Debian 13" }],
    fingerprint: key.fingerprint,
  });
  const answer = await post(`${url}/agent/task`, body, "text/manifest; charset=utf-8");
  assert.equal(answer.status, 200);
  return parseTaskResponse(new Uint8Array(await answer.arrayBuffer()));
}

const askAsCroft = (url: string) => requestTask(url, { fingerprint: key.fingerprint });

const finish = (task: TaskResponse) =>
  sendResult({ ...task, logUrl: null }, "success", [], rawSignature(key, task.challenge!));

describe("agents of other makes", () => {
  let farm: Farm;
  let url: string;
  before(async () => {
    farm = await makeFarm();
    const keys = writeKeys(farm.directory, key);
    await writeFile(join(farm.directory, "controller.yaml"), `upload-limit: 64K\nagents:\n  keys: ${keys}\n`);
    url = (await farm.start()).url;
  });
  after(() => farm[Symbol.asyncDispose]());

  const waiting = async (id: number) =>
    (await (await fetch(`${url}/api/v1/builds/${id}`)).json()) as {
      waiting: string;
      croftOnly: string | null;
    };

  for (const [what, changes] of [
    ["a name of one letter", { name: "r", version: "1.0" }],
    ["a version of another kind", { version: "1.0~rc1" }],
    ["a version that is not known", {}],
    ["a URL that is none", { version: "1.0", repository: "git@example.org:hello.git" }],
    ["an archive", { version: "1.0", repository: "https://example.org/hello.tar.gz" }],
  ] as const)
    test(`a build with ${what} goes to croft's agents only, and says so while it waits`, async () => {
      const id = await submit(url, changes);
      assert.equal((await askAsOther(url)).session, "");
      const build = await waiting(id);
      assert.ok(build.croftOnly);
      assert.equal(build.waiting, `agents with such a machine are not croft's: ${build.croftOnly}`);
      const task = await askAsCroft(url);
      assert.equal((await readBuild(url, id)).state, "building");
      assert.equal((await finish(task)).status, 204);
    });

  test("a build that they can read is theirs, and goes ahead of one that they cannot", async () => {
    const beyond = await submit(url, { priority: 9 });
    const id = await submit(url, { version: "1.0" });
    assert.equal((await waiting(id)).croftOnly, null);
    const task = await askAsOther(url);
    assert.equal((await readBuild(url, id)).state, "building");
    assert.equal((await finish(task)).status, 204);
    assert.equal((await askAsOther(url)).session, "");
    const rest = await askAsCroft(url);
    assert.equal((await readBuild(url, beyond)).state, "building");
    assert.equal((await finish(rest)).status, 204);
  });

  /** What curl gets: the status, and the manifest in which other agents look for it. */
  async function upload(address: string, fields: readonly (readonly [string, string])[]) {
    const form = fields.flatMap(([name, value]) => [
      name === "archive" ? "-F" : "--form-string",
      `${name}=${value}`,
    ]);
    const argv = ["curl", "-sS", "--noproxy", "*", "-w", "\n%{http_code} %{content_type}", ...form, address];
    const { stdout } = await run(argv, { timeoutSeconds: 240 });
    return stdout.toString();
  }

  test("their archives are taken in any order of the fields, once the sender has shown who it is", async () => {
    const id = await submit(url, { version: "1.0" });
    const archive = join(farm.directory, "hello-1.0.tar.gz");
    await writeFile(archive, "an archive");
    const digest = createHash("sha256").update("an archive").digest("hex");
    const task = await askAsOther(url);
    const address = task.uploadUrls["package"]!;
    const challenge = rawSignature(key, task.challenge!);
    const good = {
      session: task.session,
      challenge,
      instance: "hello-1.0",
      archive: `@${archive}`,
      sha256sum: digest,
    };
    const form = (changes: Partial<typeof good> = {}) =>
      Object.entries({ ...good, ...changes }).filter(([, value]) => value !== "");
    const kept = /^: 1\nstatus: 200\nmessage: package upload is kept\n\n200 text\/manifest/;
    assert.match(await upload(address, form()), kept);
    assert.match(await upload(address, form({ instance: "dist" }).reverse()), kept);

    const refused = (status: number, message: string) =>
      new RegExp(`^: 1\nstatus: ${status}\nmessage: .*${message}.*\n\n${status} text/manifest`);
    for (const [changes, status, message] of [
      [{ sha256sum: "0".repeat(64) }, 422, "SHA-256"],
      [{ sha256sum: "" }, 422, "SHA-256"],
      [{ instance: "" }, 400, "instance"],
      [{ instance: "../x" }, 400, "name"],
      [{ challenge: "" }, 401, "not signed"],
      [{ session: "another" }, 400, "session"],
    ] as const)
      assert.match(await upload(address, form(changes).reverse()), refused(status, message), message);
    await writeFile(`${archive}.large`, Buffer.alloc(65 * 1024));
    assert.match(await upload(address, form({ archive: `@${archive}.large` })), refused(413, "too large"));

    const { artifacts } = await readBuild(url, id);
    assert.deepEqual(
      artifacts.map(({ name, type, sha256 }) => [name, type, sha256]),
      [
        ["dist/hello-1.0.tar.gz", "package", digest],
        ["hello-1.0.tar.gz", "package", digest],
      ],
    );
  });
});
