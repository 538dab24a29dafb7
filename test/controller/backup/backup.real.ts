/** `croft controller backup` and `restore`, beside builds that come in. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, readFileSync } from "node:fs";
import { mkdir, readdir, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { restore } from "../../../controller/backup/restore.ts";
import { startControl } from "../../../controller/control.ts";
import { startServer } from "../../../controller/server.ts";
import { formatResultRequest } from "../../../manifests/result-request.ts";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";
import { readBuild, requestTask, sendLog, sendResult, submit, type ReceivedTask } from "../farm.ts";
import { openFarm, openOn } from "../in-process.ts";
import { until } from "../until.ts";

const croft = [process.execPath, packageFile("bin", "main.ts"), "controller"];

async function controller(...args: string[]): Promise<string> {
  return (await run([...croft, ...args], { timeoutSeconds: patienceSeconds })).stdout;
}

/** @returns sends the result of a build that was submitted and given, to a controller at this address. */
async function begin(url: string): Promise<(url: string) => Promise<unknown>> {
  const id = await submit(url);
  const task = await requestTask(url);
  return (to) => sendResult(movedTo(to, task), "success", [["update", "success", `the log of ${id}\n`]]);
}

async function build(url: string): Promise<void> {
  await (
    await begin(url)
  )(url);
}

const builtOnce = {
  ...{ name: "hello", version: "1.0", status: "success" as const },
  operations: [{ name: "update", status: "success" as const, log: "without its artifact\n" }],
};

/** The same session, at a controller that is elsewhere by now. */
function movedTo(url: string, task: ReceivedTask): ReceivedTask {
  const moved = (old: string) => old.replace(/^http:\/\/[^/]+/, url);
  return { ...task, resultUrl: moved(task.resultUrl!), logUrl: moved(task.logUrl!) };
}

/** Ends a command as soon as there is a file or directory. */
async function killedAt(path: string, args: readonly string[]): Promise<void> {
  const [program, ...argv] = [...croft, ...args] as [string, ...string[]];
  const child = spawn(program, argv, { stdio: "ignore" });
  const ended = once(child, "exit");
  await until(async () => (await stat(path).catch(() => undefined)) !== undefined, path);
  child.kill("SIGKILL");
  await ended;
}

describe("a backup", { timeout: patienceMs }, () => {
  test("made while builds come in is the farm at one moment; restored, it takes what agents were building, and doubles nothing", async () => {
    await using place = await temporaryDirectory("croft-test-backup-");
    const [backups, elsewhere] = [join(place.path, "backups"), join(place.path, "elsewhere")];
    for (const directory of [backups, elsewhere]) await mkdir(directory);
    const data = join(elsewhere, "data");
    const held: ReceivedTask[] = [];
    const sent: Awaited<ReturnType<typeof begin>>[] = [];
    let late: ReceivedTask;
    {
      await using farm = await openFarm("embedded", "listen: 127.0.0.1:0\n");
      await using server = await startServer(farm);
      await using _control = await startControl(farm);
      const { url } = server;
      for (let count = 0; count < 5; count++) await build(url);
      for (let count = 0; count < 3; count++) {
        await submit(url);
        held.push(await requestTask(url));
      }
      await sendLog(held[0]!, 0, "it builds\n");
      await submit(url); // queued
      let isMade = false;
      const coming = (async () => {
        while (!isMade) {
          const send = await begin(url);
          sent.push(send);
          await send(url);
        }
      })();
      await controller("backup", backups, "--data", farm.directory.path);
      isMade = true;
      await coming;
      await submit(url, { priority: 9 });
      late = await requestTask(url);
      assert.deepEqual(await readdir(farm.directory.incoming), [], "nothing is left beside the data");
    }
    const [name] = await readdir(backups);
    const backup = join(backups, name!);
    assert.match(name!, /^croft-backup-\d{8}T\d{6}Z\.tar$/);
    assert.equal((await stat(backup)).mode & 0o777, 0o600);
    assert.match(await controller("restore", backup, "--data", data), /restored .*: \d+ builds, \d+ files/);
    await assert.rejects(controller("restore", backup, "--data", data), /there is something in it/);

    await using farm = await openOn(elsewhere, "embedded", "listen: 127.0.0.1:0\n");
    await using server = await startServer(farm);
    const { url } = server;
    // One of them may have been with its agent when the backup was made.
    for (const send of sent) await send(url);
    const live = await fetch(`${url}/api/v1/builds/6/log`);
    assert.equal(await live.text(), "it builds\n");
    const withArtifact = held.pop()!;
    for (const task of held) {
      assert.equal(
        (await sendResult(movedTo(url, task), "success", [["update", "success", "held\n"]])).status,
        204,
      );
      assert.equal(
        (await sendResult(movedTo(url, task), "success", [["update", "success", "held\n"]])).status,
        204,
      );
    }
    const body = new Uint8Array(formatResultRequest({ session: withArtifact.session, result: builtOnce }));
    const headers = { "content-type": "text/manifest", "croft-artifacts": "1" };
    const { resultUrl } = movedTo(url, withArtifact);
    assert.equal((await fetch(resultUrl!, { method: "POST", headers, body })).status, 204);
    const lost = await farm.database.query("select aborts, state from croft.builds where aborts > 0");
    assert.deepEqual(lost, [{ aborts: 1, state: "queued" }], "its artifact came after the backup");
    assert.equal((await sendResult(movedTo(url, late), "success")).status, 410, "given after the backup");
    for (;;) {
      const answer = await requestTask(url);
      if (answer.session === "") break;
      await sendResult(answer, "success", [["update", "success", "again\n"]]);
    }
    const builds = await farm.database.query<{ id: number; state: string; results: number }>(
      `select b.id, b.state, (select count(*)::integer from croft.sessions s
         where s.build = b.id and s.status = 'success') as results from croft.builds b order by b.id`,
    );
    assert.ok(builds.length >= 8);
    for (const [index, { id, ...rest }] of builds.entries())
      assert.deepEqual({ id, ...rest }, { id: index + 1, state: "finished", results: 1 });
    for (const { id } of builds) {
      const [operation] = (await readBuild(url, id)).operations;
      assert.match(await (await fetch(operation!.logUrl)).text(), /^(the log of|held|again)/);
    }
    assert.ok((await submit(url)) > 10_000, "numbers that the old controller may have given are left out");
  });

  test("that is not whole is refused, and kill -9 leaves none that looks whole, nor a data directory", async () => {
    await using place = await temporaryDirectory("croft-test-backup-");
    await using farm = await openFarm("embedded", "listen: 127.0.0.1:0\n");
    await using server = await startServer(farm);
    await using _control = await startControl(farm);
    await build(server.url);
    const at = (name: string) => join(place.path, name);
    const backup = ["backup", at("a.tar"), "--data", farm.directory.path];
    await killedAt(at("a.tar.unfinished"), backup);
    assert.deepEqual(await readdir(place.path), ["a.tar.unfinished"]);
    await controller(...backup);
    assert.deepEqual(await readdir(place.path), ["a.tar"]);
    await until(
      async () => (await readdir(farm.directory.incoming)).length === 0,
      "the broken one's copy to go",
    );
    await assert.rejects(controller(...backup), /it exists already/);

    const whole = readFileSync(at("a.tar"));
    const sums = whole.lastIndexOf("SHA256SUMS");
    await writeFile(at("cut.tar"), whole);
    await truncate(at("cut.tar"), sums);
    const log = whole.indexOf("the log of");
    const damaged = Buffer.from(whole);
    damaged.write("?", log);
    await writeFile(at("damaged.tar"), damaged);
    const other = Buffer.from(whole);
    other[(Math.floor(whole.indexOf("PG_VERSION") / 512) + 1) * 512] = 0x21; // its content comes after its header
    await writeFile(at("other.tar"), other);
    const refused = async (name: string, reason: RegExp) =>
      assert.rejects(restore(createReadStream(at(name)), name, at("data")), reason);
    await refused("cut.tar", /Cannot use the backup 'cut\.tar': it is not complete/);
    await refused("damaged.tar", /is not what its name says/);
    await refused("other.tar", /PG_VERSION is damaged/);
    assert.deepEqual((await readdir(place.path)).sort(), ["a.tar", "cut.tar", "damaged.tar", "other.tar"]);
    const to = ["--data", at("data")];
    await killedAt(at(".data.restoring/database"), ["restore", at("a.tar"), ...to]);
    assert.ok(!(await readdir(place.path)).includes("data"));
    await controller("restore", at("a.tar"), ...to);
    assert.ok((await readdir(place.path)).includes("data"));
  });
});
