/** What people and administrators ask for: pins, `croft controller prune`; and what is taken while there is too little room. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startControl } from "../../../controller/control.ts";
import { startServer } from "../../../controller/server.ts";
import { packageFile } from "../../../os/files/package.ts";
import { run } from "../../../os/run.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";
import { requestTask, sendResult, submit } from "../farm.ts";
import { openFarm } from "../in-process.ts";

async function croft(url: string, ...args: string[]): Promise<string> {
  const env = { ...process.env, CROFT_CONTROLLER: url };
  const argv = [process.execPath, packageFile("bin", "main.ts"), ...args];
  return (await run(argv, { timeoutSeconds: patienceSeconds, env })).stdout;
}

describe("old builds", { timeout: patienceMs }, () => {
  test("are removed by `croft controller prune`, which says before what that will be; a pinned one is kept", async () => {
    await using controller = await openFarm("embedded", "listen: 127.0.0.1:0\nretention: { days: 30 }\n");
    await using server = await startServer(controller);
    await using _control = await startControl(controller);
    const { url } = server;
    const log = "a log of twenty bytes";
    for (let count = 0; count < 4; count++) {
      await submit(url);
      await sendResult(await requestTask(url), "error", [["update", "error", `${log}${count}`]]);
    }
    await controller.database.query(
      "update croft.builds set finished_at = now() - interval '40 days' where id < 4",
    );
    await controller.database.query("update croft.blobs set used_at = now() - interval '2 hours'");
    assert.equal(await croft(url, "pin", "2"), "build 2: pinned\n");
    assert.match(await croft(url, "show", "2"), /^ {2}pinned +kept whatever its age$/m);
    const prune = ["controller", "prune", "--data", controller.directory.path];
    const amounts = (builds: string, bytes: number, blobs = 2) =>
      `  builds                ${builds}\n  live logs             0 (0 bytes)\n  logs and artifacts    ${blobs} (${bytes} bytes)\n`;
    const wanted = amounts("2 (2 by age, 0 by count)", 44);
    assert.equal(await croft(url, ...prune, "--dry-run"), `Would be removed:\n${wanted}`);
    assert.equal((await controller.builds.list({ limit: 9 })).length, 4);
    assert.equal(await croft(url, ...prune), `Removed:\n${wanted}`);
    const list = JSON.parse(await croft(url, "builds", "--json")) as {
      builds: { id: number; pinned: boolean }[];
    };
    assert.deepEqual(
      list.builds.map(({ id, pinned }) => [id, pinned]),
      [
        [4, false],
        [2, true],
      ],
    );
    assert.equal((await fetch(`${url}/builds/1`)).status, 404);
    assert.equal(await croft(url, "pin", "--remove", "2"), "build 2: no longer pinned\n");
    const json = await croft(url, ...prune, "--json", "--days", "50", "--builds", "1");
    assert.deepEqual((JSON.parse(json) as { builds: unknown }).builds, [{ id: 2, reason: "count" }]);
  });
});

describe("a controller with too little room", { timeout: patienceMs }, () => {
  test("takes no submissions and artifacts, with a reason, but results", async () => {
    await using controller = await openFarm("embedded", "listen: 127.0.0.1:0\nmin-free: 900000000G\n");
    await using server = await startServer(controller);
    const { url } = server;
    const refused = async (path: string, body: string | FormData, type?: string) => {
      const headers = type === undefined ? {} : { "content-type": type };
      const answer = await fetch(`${url}${path}`, { method: "POST", body, headers });
      assert.equal(answer.status, 507, path);
      assert.match(await answer.text(), /too little room: .* are free, and .* are to stay free \(min-free\)/);
    };
    const what = { name: "a", repository: "https://x.org/x.git" };
    await refused("/api/v1/builds", JSON.stringify(what), "application/json");
    await controller.builds.submit({ ...what, version: "0", targets: ["*"], priority: 0 }, null);
    const task = await requestTask(url);
    const upload = new FormData();
    upload.append("session", task.session);
    await refused(`/agent/upload/${task.session}/artifact`, upload);
    assert.equal((await sendResult(task, "success", [["update", "success", "log"]])).status, 204);
    await refused("/api/v1/builds/1/rebuild", "{}", "application/json");
  });
});
