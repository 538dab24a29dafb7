/** A controller of the version before, from the history of this project, beside one of this version on one database */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { knownTables } from "../../../controller/database/migrations.ts";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";
import { noPostgres, startPostgres } from "../database/postgres.ts";
import {
  readBuild,
  requestTask,
  sendLog,
  sendResult,
  startController,
  submit,
  type ReceivedTask,
} from "../farm.ts";

const root = packageFile(".");
const migrations = "controller/database/migrations.ts";
const noHistory = existsSync(join(root, ".git")) ? false : "there is no history of the project here";

async function git(...args: string[]): Promise<string> {
  return (await run(["git", "-C", root, ...args], { timeoutSeconds: patienceSeconds })).stdout.trim();
}

/** Lays out the latest version whose tables are not those of this one. It finds its libraries in the directories above. */
async function layEarlier(stack: AsyncDisposableStack): Promise<string> {
  const directory = join(root, ".cache", "earlier");
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  for (const commit of (await git("rev-list", "HEAD", "--", migrations)).split("\n")) {
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { recursive: true });
    await git("archive", "-o", join(directory, "tree.tar"), `${commit}^`);
    await run(["tar", "-xf", join(directory, "tree.tar"), "-C", directory], {
      timeoutSeconds: patienceSeconds,
    });
    const asked = `console.log((await import(${JSON.stringify(join(directory, migrations))})).knownTables)`;
    const argv = [process.execPath, "--input-type=module", "--eval", asked];
    const known = Number((await run(argv, { timeoutSeconds: patienceSeconds })).stdout);
    if (known < knownTables) return join(directory, "bin", "main.ts");
  }
  throw new Error("there is no earlier version");
}

describe("two versions on one database", { skip: noPostgres || noHistory, timeout: patienceMs }, () => {
  test("the earlier one makes its tables, goes on while the later one changes them, and starts again after that", async () => {
    await using stack = new AsyncDisposableStack();
    const program = await layEarlier(stack);
    const { path } = stack.use(await temporaryDirectory("croft-test-versions-"));
    const { url: database } = stack.use(await startPostgres());
    const config = join(path, "controller.yaml");
    await writeFile(config, `database: ${database}\n`);
    const options = ["--config", config, "--data", join(path, "data")];
    const earlier = stack.use(await startController(options, {}, program));
    const begun = await submit(earlier.url);
    const task = await requestTask(earlier.url);
    assert.equal((await sendLog(task, 0, "one ")).status, 204);
    const later = stack.use(await startController(options));
    const urls = [earlier.url, later.url] as const;
    const through = (given: ReceivedTask, from: string, to: string): ReceivedTask => ({
      ...given,
      logUrl: given.logUrl!.replace(from, to),
      resultUrl: given.resultUrl!.replace(from, to),
    });
    assert.equal((await sendLog(task, 4, "two ")).status, 204);
    assert.equal((await sendLog(through(task, ...urls), 8, "three\n")).status, 204);
    for (const url of urls)
      assert.equal(await (await fetch(`${url}/api/v1/builds/${begun}/log`)).text(), "one two three\n");
    assert.equal((await sendResult(task, "success", [["update", "success", "log\n"]])).status, 204);
    const ids: number[] = [begun];
    for (let count = 0; count < 16; count++) {
      const at = (bit: number) => urls[(count >> bit) & 1]!;
      ids.push(await submit(at(0)));
      const given = await requestTask(at(1));
      assert.equal((await sendLog(through(given, at(1), at(2)), 0, "live\n")).status, 204);
      const log = `log ${count}\n`;
      const result = await sendResult(through(given, at(1), at(3)), "success", [["update", "success", log]]);
      assert.equal(result.status, 204);
    }
    const cancelled = await submit(earlier.url);
    assert.equal(
      (await fetch(`${later.url}/api/v1/builds/${cancelled}/cancel`, { method: "POST" })).status,
      200,
    );
    assert.equal((await requestTask(earlier.url)).session, "");
    await earlier.end("SIGTERM");
    await using again = await startController(options, {}, program);
    assert.match(again.log(), /a later version of croft has changed the tables of the database/);
    for (const url of [again.url, later.url])
      for (const id of ids) {
        const { state, status, attempts } = await readBuild(url, id);
        assert.deepEqual([state, status, attempts.length], ["finished", "success", 1], `build ${id}`);
      }
  });
});
