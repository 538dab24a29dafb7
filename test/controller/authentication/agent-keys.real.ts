/** Keys of agents come and go while controllers run: by command, and as files. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { startControl } from "../../../controller/control.ts";
import { startServer } from "../../../controller/server.ts";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";
import { noPostgres, startPostgres } from "../database/postgres.ts";
import { postTaskRequest, requestTask, sendLog, sendResult, submit } from "../farm.ts";
import { openFarm, openOn } from "../in-process.ts";
import { until } from "../until.ts";
import { makeKey, rawSignature, writeKeys } from "./proof.ts";

async function agentKey(...args: string[]): Promise<string> {
  const argv = [process.execPath, packageFile("bin", "main.ts"), "agent", "key", ...args];
  return (await run(argv, { timeoutSeconds: patienceSeconds })).stdout;
}

describe("keys of agents", { timeout: patienceMs }, () => {
  test("are added, listed and revoked by command: from then on agents need one, and none counts that is revoked", async () => {
    await using place = await temporaryDirectory("croft-test-keys-");
    await using farm = await openFarm("embedded", "listen: 127.0.0.1:0\n");
    await using server = await startServer(farm);
    await using _control = await startControl(farm);
    const { url } = server;
    const at = ["--data", farm.directory.path];
    const file = (name: string, text: string) => {
      writeFileSync(join(place.path, name), text);
      return join(place.path, name);
    };
    const [one, other] = [makeKey(), makeKey()];
    assert.equal((await postTaskRequest(url)).status, 200, "no agent needs a key before");
    const privateHalf = agentKey("add", "one", file("one.key", one.privatePem), ...at);
    await assert.rejects(privateHalf, /Cannot add the key of agent 'one': it is a private key/);
    await assert.rejects(farm.agentKeys.add("one", "nothing"), /it is no public key in PEM/);
    assert.equal(
      await agentKey("add", "one", file("one.pem", one.publicPem), ...at),
      `one: ${one.fingerprint}\n`,
    );
    await farm.agentKeys.add("other", other.publicPem);
    await assert.rejects(
      farm.agentKeys.add("third", one.publicPem),
      /it is known already, by the name 'one'/,
    );
    await assert.rejects(farm.agentKeys.add("one", makeKey().publicPem), /there is one of that name/);
    const listed = new RegExp(`^one +${one.fingerprint} +added .*\\nother +${other.fingerprint} `);
    assert.match(await agentKey("list", ...at), listed);
    assert.equal((await postTaskRequest(url)).status, 401);
    assert.equal((await postTaskRequest(url, { fingerprint: makeKey().fingerprint })).status, 403);

    const id = await submit(url);
    const task = await requestTask(url, { fingerprint: one.fingerprint });
    await agentKey("revoke", "one", ...at);
    const answer = rawSignature(one, task.challenge!);
    // The key is unknown, or already the session over that had it.
    for (const { status } of [
      await sendResult(task, "success", [], answer),
      await sendLog(task, 0, "text"),
      (await farm.leases.look(), await sendResult(task, "success", [], answer)),
    ])
      assert.ok(status === 401 || status === 410, String(status));
    assert.equal((await postTaskRequest(url, { fingerprint: one.fingerprint })).status, 403);
    const { faults, faulty_host, interrupts } = (await farm.builds.find(id))!;
    assert.deepEqual([faults, faulty_host, interrupts], [0, null, 1], "it is nobody's fault");
    const [over] = await farm.sessions.of(id);
    assert.deepEqual([over!.state, over!.fault], ["superseded", "the key of its agent was revoked"]);
    const again = await requestTask(url, { agent: "host-2", fingerprint: other.fingerprint });
    assert.equal((await sendResult(again, "success", [], rawSignature(other, again.challenge!))).status, 204);
    assert.equal((await farm.builds.find(id))?.status, "success");
    await assert.rejects(farm.agentKeys.revoke("one"), /there is none/);
  });

  test(
    "count at the other controllers of a database, and as files that come and go",
    { skip: noPostgres },
    async () => {
      await using place = await temporaryDirectory("croft-test-keys-");
      await using postgres = await startPostgres();
      const [first, second, added] = [makeKey(), makeKey(), makeKey()];
      const keys = writeKeys(place.path, first);
      await using one = await openOn(place.path, postgres.url, `agents: { keys: ${keys} }\n`);
      await using other = await openOn(place.path, postgres.url, `agents: { keys: ${keys} }\n`);
      await one.agentKeys.add("added", added.publicPem);
      await until(async () => other.agentKeys.get(added.fingerprint) !== undefined, "the added key");
      await one.agentKeys.revoke("added");
      await until(async () => other.agentKeys.get(added.fingerprint) === undefined, "the added key to go");
      await assert.rejects(
        one.agentKeys.revoke("0"),
        /it lies in the directory that the configuration names/,
      );
      writeFileSync(join(keys, "second.pem"), second.publicPem);
      writeFileSync(join(keys, "bad.pem"), "nothing");
      await until(async () => one.agentKeys.get(second.fingerprint) !== undefined, "a new file");
      rmSync(join(keys, "0.pem"));
      await until(async () => one.agentKeys.get(first.fingerprint) === undefined, "a file that is gone");
      assert.equal(one.agentKeys.isRequired, true);
    },
  );
});
