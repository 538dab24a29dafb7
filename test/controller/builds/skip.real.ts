/** What has not changed since its last success is skipped: by checksums that go with the task, if all else is the same. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Offer } from "../../../controller/builds/offer.ts";
import type { BuiltWith } from "../../../controller/builds/sessions.ts";
import { unchangedSince, type Checksums } from "../../../controller/builds/unchanged.ts";
import { parseTaskResponse } from "../../../manifests/task-response.ts";
import { startServer } from "../../../controller/server.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { postTaskRequest, readBuild, submit } from "../farm.ts";
import { databaseKinds, openFarm } from "../in-process.ts";

const offer: Offer = { agent: "a", toolchain: "gcc", interactive: "both", machines: ["m"] };
const usual: BuiltWith = { machineIds: new Map([["m", "m-1.0"]]), toolchainVersion: "14.2.0" };
const sums: Checksums = { workerChecksum: "w1", dependencyChecksum: "d1", agentChecksum: "croft-1" };

for (const [kind, skip] of databaseKinds)
  describe(`a build of what has not changed (${kind})`, { skip, timeout: patienceMs }, () => {
    test("is told the checksums of its last success, unless something else is different", async () => {
      await using farm = await openFarm(kind, "targets: [{ name: t, machine: '*' }]\n");
      const what = {
        name: "p",
        version: "1.0",
        repository: "https://x.org/x.git",
        targets: ["t"],
        priority: 0,
      };
      /** Builds once; what was sent with the task. */
      const build = async (
        status: string,
        { submitted = {}, builtWith = usual, result = sums as Partial<Checksums>, rebuild = 0 } = {},
      ) => {
        if (rebuild > 0) await farm.builds.rebuild((await farm.builds.find(rebuild))!, null);
        else await farm.builds.submit({ ...what, ...submitted }, null);
        const { build, session } = (await farm.sessions.assign(offer, undefined, builtWith))!;
        const sent = await unchangedSince(farm.database, build, session);
        await farm.results.store(session, { version: "1.0", status, operations: [], ...result });
        return { id: build.id, sent };
      };
      const first = await build("success");
      assert.equal(first.sent, undefined, "there was none before");
      assert.deepEqual((await build("success", { submitted: { priority: 5 } })).sent, sums);
      const different = {
        "to be built anyway": { submitted: { force: true } },
        "built again": { rebuild: first.id },
        "of another version": { submitted: { version: "1.1" } },
        "of another repository": { submitted: { repository: "https://x.org/y.git" } },
        "with another configuration": { submitted: { configuration: "--debug" } },
        "for a person": { submitted: { interactive: "error" } },
        "with an auxiliary machine": { submitted: { auxiliary: { db: "m" } } },
        "in another revision of the machine": {
          builtWith: { ...usual, machineIds: new Map([["m", "m-1.1"]]) },
        },
        "with another toolchain": { builtWith: { ...usual, toolchainVersion: "14.3.0" } },
      };
      const withAuxiliary = { ...offer, auxiliaries: [{ name: "m" }] };
      for (const [how, changes] of Object.entries(different)) {
        if (how === "with an auxiliary machine") Object.assign(offer, withAuxiliary);
        assert.equal((await build("success", changes)).sent, undefined, how);
      }
      const skipped = await build("skip");
      assert.deepEqual(skipped.sent, sums);
      assert.ok((await farm.builds.find(skipped.id))!.same_as! < skipped.id);
      assert.deepEqual((await build("abort")).sent, sums, "as the last one was skipped");
      await farm.database.query(
        "update croft.builds set state = 'finished', status = 'abort' where state = 'queued'",
      );
      await build("error");
      assert.equal((await build("warning")).sent, undefined, "as the last one failed");
      assert.equal((await build("success", { result: {} })).sent, undefined, "as the last one had warnings");
      assert.equal((await build("success")).sent, undefined, "as the last one told no checksums");
    });
  });

describe("a task", { timeout: patienceMs }, () => {
  test("has the checksums of the last success, and a skipped build says which one it is the same as", async () => {
    await using farm = await openFarm("embedded", "listen: 127.0.0.1:0\n");
    await using server = await startServer(farm);
    const { url } = server;
    const ask = async () =>
      parseTaskResponse(new Uint8Array(await (await postTaskRequest(url)).arrayBuffer()));
    await submit(url);
    const first = await ask();
    const body = (status: string, rest = "") =>
      `: 1\nsession: ${first.session}\nagent-checksum: croft-1\n:\nname: hello\nversion: 1.0\nstatus: ${status}\n${rest}worker-checksum: w\ndependency-checksum: d\n`;
    const send = async (session: string, text: string) =>
      (
        await fetch(`${url}/agent/result`, {
          method: "POST",
          headers: { "content-type": "text/manifest" },
          body: text.replace(first.session, session),
        })
      ).status;
    assert.equal(
      await send(first.session, body("success", "update-status: success\nupdate-log: fine\n")),
      204,
    );
    const id = await submit(url);
    const { task, agentChecksum, session } = await ask();
    const { workerChecksum, dependencyChecksum } = task!;
    assert.deepEqual([workerChecksum, dependencyChecksum, agentChecksum], ["w", "d", "croft-1"]);
    assert.equal(await send(session, body("skip")), 204);
    const answer = (await readBuild(url, id)) as unknown as { status: string; sameAs: number };
    assert.deepEqual([answer.status, answer.sameAs], ["skip", 1]);
    assert.match(
      await (await fetch(`${url}/builds/${id}`)).text(),
      /The same as<\/dt>\s*<dd><a href="\/builds\/1">#1/,
    );
  });
});
