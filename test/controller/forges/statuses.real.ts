/** What forges are told of the commits that they told of. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { pino } from "pino";
import { CommitStatuses } from "../../../controller/forges/commit-statuses.ts";
import { startStatusSender } from "../../../controller/forges/status-sender.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import type { Log } from "../../../os/log.ts";
import { endNext, takeNext } from "../built.ts";
import { databaseKinds } from "../in-process.ts";
import { until } from "../until.ts";
import { openHookFarm, type HookFarm } from "./farm.ts";
import { doubles, sendHook, type ForgeDouble } from "./payloads.ts";
import { startStatusDouble, token, type StatusDouble } from "./status-double.ts";

const never = new AbortController().signal;
const patience = { firstPauseSeconds: 0, longestPauseSeconds: 0, mostTries: 3, answerSeconds: 600 };

for (const [kind, skip] of databaseKinds)
  describe(`commit statuses, with the database ${kind}`, { skip }, () => {
    const resources = new AsyncDisposableStack();
    let farm: HookFarm;
    let double: StatusDouble;
    let statuses: CommitStatuses;
    let logged = "";
    before(async () => {
      double = resources.use(await startStatusDouble());
      const { path } = resources.use(await temporaryDirectory("croft-test-statuses-"));
      const file = join(path, "token");
      writeFileSync(file, `${token}\n`, { mode: 0o600 });
      farm = resources.use(
        await openHookFarm(kind, (name) => {
          const api = name === "forgejo" ? "gitea" : name;
          return `token-file: ${file}, api: "${double.url}/${api}"`;
        }),
      );
      const { database, configuration } = farm.controller;
      const destination = new Writable({
        write: (piece, _encoding, done) => {
          logged += String(piece);
          done();
        },
      });
      const log = pino({ level: "trace" }, destination) as unknown as Log;
      const base = "https://farm.example";
      statuses = new CommitStatuses(database, configuration.repositories, base, log, patience);
    });
    after(() => resources.disposeAsync());

    /** A push of a new commit; its build. */
    const push = async (forge: ForgeDouble) => {
      const commit = randomBytes(20).toString("hex");
      const { answer } = await sendHook(farm.url, forge, { kind: "push", reference: "main", commit });
      return { commit, build: answer.builds![0]!.id };
    };
    const told = (commit: string) =>
      double.taken.filter((one) => one.commit === commit).map(({ state }) => state);
    const sendNow = async (build: number) => {
      await statuses.note(build);
      await statuses.sendDue(never);
    };

    for (const forge of doubles)
      test(`go to ${forge.name} in its words, each state once, with a link to the build`, async () => {
        const { commit, build } = await push(forge);
        await statuses.sendDue(never);
        const session = await takeNext(farm.controller);
        await sendNow(build);
        await sendNow(build);
        await farm.controller.results.store(session, { version: "1", status: "error", operations: [] });
        await sendNow(build);
        await sendNow(build);
        const expected =
          forge.name === "gitlab" ? ["pending", "running", "failed"] : ["pending", "pending", "failure"];
        assert.deepEqual(told(commit), expected);
        const { context, url, description } = double.taken.at(-1)!;
        assert.deepEqual(
          [context, url, description],
          ["croft/default", `https://farm.example/builds/${build}`, "default: error"],
        );
      });

    test("tell of a build that is built again, under the same name", async () => {
      const { commit, build } = await push(doubles[0]!);
      await endNext(farm.controller, "abort");
      await endNext(farm.controller, "abort");
      await endNext(farm.controller, "abort");
      await sendNow(build);
      const again = await farm.controller.builds.rebuild((await farm.controller.builds.find(build))!, null);
      await endNext(farm.controller, "success");
      await sendNow(again.id);
      assert.deepEqual(told(commit), ["error", "success"]);
      assert.match(double.taken.at(-1)!.url, new RegExp(`/builds/${again.id}$`));
    });

    test("are tried again after refusals and broken connections, and given up at last; no log has the token", async () => {
      const { commit, build } = await push(doubles[0]!);
      await endNext(farm.controller, "success");
      double.refuse = (response) => response.writeHead(502).end(`no: ${token}`);
      await statuses.sendDue(never);
      double.refuse = (response) => response.destroy();
      await statuses.sendDue(never);
      assert.deepEqual(told(commit), []);
      await statuses.sendDue(never);
      assert.deepEqual(told(commit), ["success"]);
      const other = await push(doubles[0]!);
      await endNext(farm.controller, "success");
      const before = double.requests;
      for (let count = 0; count < 5; count++) {
        double.refuse = (response) => response.writeHead(401).end();
        await statuses.sendDue(never);
      }
      double.refuse = undefined;
      assert.equal(double.requests - before, 3);
      assert.deepEqual(told(other.commit), []);
      assert.match(logged, /given up/);
      assert.match(logged, /answered 502/);
      assert.ok(!logged.includes(token));
      assert.ok(build > 0);
    });

    test("are not sent where a forge redirects to: the token is for nobody else", async () => {
      await using elsewhere = await startStatusDouble();
      await push(doubles[0]!);
      await endNext(farm.controller, "success");
      double.refuse = (response) =>
        response
          .writeHead(307, { location: `${elsewhere.url}/github/repos/acme/hello/statuses/${"a".repeat(40)}` })
          .end();
      await statuses.sendDue(never);
      assert.equal(elsewhere.requests, 0);
      await statuses.sendDue(never);
    });

    test("are taken as told by GitLab if only its answer was lost", async () => {
      const gitlab = doubles.find(({ name }) => name === "gitlab")!;
      const { commit, build } = await push(gitlab);
      await statuses.sendDue(never);
      await farm.controller.database.query("update croft.commit_statuses set sent = null where build = $1", [
        build,
      ]);
      logged = "";
      await sendNow(build);
      assert.deepEqual(told(commit), ["pending"]);
      assert.equal(logged, "");
      await endNext(farm.controller, "success");
      await sendNow(build);
      assert.deepEqual(told(commit), ["pending", "success"]);
    });

    test("are sent by one of several at a time", async () => {
      const { commit } = await push(doubles[0]!);
      await Promise.all([statuses.sendDue(never), statuses.sendDue(never), statuses.sendDue(never)]);
      assert.deepEqual(told(commit), ["pending"]);
      await endNext(farm.controller, "success");
    });

    test("are sent by themselves while the controller runs", async () => {
      await using _sender = startStatusSender(farm.controller, farm.url);
      const { commit, build } = await push(doubles[0]!);
      const isTold = (state: string) => until(async () => told(commit).at(-1) === state, state);
      await isTold("pending");
      await endNext(farm.controller, "warning");
      await isTold("success");
      assert.equal(double.taken.at(-1)!.url, `${farm.url}/builds/${build}`);
    });
  });
