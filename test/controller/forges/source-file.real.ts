/** From a push to the builds that the `.croft.yaml` at its commit asks for, of a real git server; and by the clock. */
import assert from "node:assert/strict";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CommitStatuses } from "../../../controller/forges/commit-statuses.ts";
import { startEventLoop } from "../../../controller/forges/event-loop.ts";
import { runDue } from "../../../controller/forges/schedules.ts";
import { SourceReading } from "../../../controller/forges/source-reading.ts";
import { taskFor } from "../../../controller/builds/tasks.ts";
import { fetchFile } from "../../../controller/source-file/fetch.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { silentLog } from "../../../os/log.ts";
import { endNext } from "../built.ts";
import { databaseKinds } from "../in-process.ts";
import { until } from "../until.ts";
import { openGitFarm, type GitFarm } from "./git-farm.ts";
import { githubDouble, sendHook, type Happening } from "./payloads.ts";
import { startStatusDouble, token, type StatusDouble } from "./status-double.ts";

const never = new AbortController().signal;
const targets = "targets: [{ name: one }, { name: two }, { name: three }]\n";
const pipeline = `targets: [one, two]
artifacts: { keep: true }
builds:
- name: lint
  targets: [one]
  versions: [1.0.0, 2.0.0]
- name: test
  needs: [lint]
- name: release
  needs: [test]
schedule:
- cron: 0 3 * * *
  zone: Europe/Berlin
  builds: [test]
`;

for (const [kind, skip] of databaseKinds)
  describe(`.croft.yaml, with the database ${kind}`, { skip }, () => {
    const resources = new AsyncDisposableStack();
    let farm: GitFarm;
    let double: StatusDouble;
    let reading: SourceReading;
    before(async () => {
      double = resources.use(await startStatusDouble());
      const { path } = resources.use(await temporaryDirectory("croft-test-source-file-"));
      const file = join(path, "token");
      writeFileSync(file, `${token}\n`, { mode: 0o600 });
      const more = `branches: [main, work], targets: [one, two], auxiliary: ["mariadb-*"], token-file: ${file}, api: "${double.url}/github"`;
      farm = resources.use(await openGitFarm(kind, more, targets));
      const { database, builds, vault, configuration } = farm.controller;
      const { repositories, gitProtocols: protocols } = configuration;
      const parts = { database, builds, vault, repositories, protocols, log: silentLog() };
      reading = new SourceReading(parts, { firstPauseSeconds: 0, longestPauseSeconds: 0, mostTries: 2 });
    });
    after(() => resources.disposeAsync());

    const hook = (happening: Happening) => sendHook(farm.url, githubDouble, happening);
    const push = async (commit: string, reference = "main") => {
      const { status, answer } = await hook({ kind: "push", reference, commit });
      assert.equal(status, 202);
      return answer.event!;
    };
    const builtFor = async (event: number) =>
      (await farm.controller.forgeEvents.buildsOf(event)).map((one) =>
        [one.name, one.target, one.version, one.specification.label ?? ""].join(" "),
      );
    const sendStatuses = async () => {
      const { database, configuration } = farm.controller;
      const statuses = new CommitStatuses(database, configuration.repositories, farm.url, silentLog());
      while (await statuses.sendDue(never));
    };

    test("asks for builds that are queued one after the other, and the forge is told of each", async () => {
      const { forgeEvents, laterBuilds } = farm.controller;
      const commit = await farm.commit({ ".croft.yaml": pipeline });
      const event = await push(commit);
      await Promise.all([reading.readDue(never), reading.readDue(never)]);
      const first = ["github-lint one 1.0.0 lint/1.0.0", "github-lint one 2.0.0 lint/2.0.0"];
      assert.deepEqual(await builtFor(event), first);
      const [lint] = await forgeEvents.buildsOf(event);
      assert.ok(lint!.repository.endsWith(`/acme/hello#main@${commit}`));
      assert.equal(lint!.pinned, true);
      await laterBuilds.afterBuilds([await endNext(farm.controller, "success")]);
      assert.deepEqual(await builtFor(event), first);
      await laterBuilds.afterBuilds([await endNext(farm.controller, "success")]);
      const second = ["github-test one 0 test", "github-test two 0 test"];
      assert.deepEqual(await builtFor(event), [...first, ...second]);
      const failed = await endNext(farm.controller, "error");
      await laterBuilds.afterBuilds([failed]);
      const [release] = (await laterBuilds.of(event)).filter(({ name }) => name === "release");
      assert.deepEqual(
        [release!.state, release!.reason],
        ["skipped", `'test' ended with error (#${failed})`],
      );
      // Built again, it goes on where it was.
      await forgeEvents.buildsOf(event);
      const again = (await farm.controller.builds.find(failed))!;
      await farm.controller.builds.rebuild(again, null);
      await laterBuilds.afterBuilds([await endNext(farm.controller, "success")]);
      await laterBuilds.afterBuilds([await endNext(farm.controller, "success")]);
      assert.equal(
        (await laterBuilds.of(event)).every(({ state }) => state === "queued"),
        true,
      );
      await sendStatuses();
      const told = double.taken.filter((one) => one.commit === commit).map(({ context }) => context);
      for (const context of [
        "croft/lint/1.0.0/one",
        "croft/lint/2.0.0/one",
        "croft/test/one",
        "croft/release/two",
      ])
        assert.ok(told.includes(context), context);
      await endNext(farm.controller, "success");
      await endNext(farm.controller, "success");
    });

    test("with a mistake is told of at the commit, and read again when somebody asks", async () => {
      const commit = await farm.commit({ ".croft.yaml": "targets: [three]\n" }, "work");
      const event = await push(commit, "work");
      await reading.readDue(never);
      const row = (await farm.controller.forgeEvents.find(event))!;
      assert.equal(row.state, "failed");
      assert.match(
        row.trouble!,
        /\.croft\.yaml:1:11: targets\.0: there is no target 'three' for this repository/,
      );
      await sendStatuses();
      const told = double.taken.find((one) => one.commit === commit)!;
      assert.deepEqual([told.context, told.state], ["croft", "failure"]);
      assert.match(told.description, /^\.croft\.yaml:1:11: /);
      assert.equal(told.url, `${farm.url}/events/${event}`);
      assert.equal(await farm.controller.forgeEvents.readAgain(event), true);
      await assert.rejects(farm.controller.forgeEvents.readAgain(event), /it has not failed/);
      await reading.readDue(never);
      assert.equal((await farm.controller.forgeEvents.find(event))!.state, "failed");
    });

    test("of a fork's pull request is that of the branch it is to go into", async () => {
      await farm.commit({ ".croft.yaml": "builds: [{ name: base, targets: [one] }]\n" }, "main");
      const commit = await farm.commit({ ".croft.yaml": "builds: [{ name: forked }]\n" }, "fork");
      const fork = { kind: "pull-request", reference: "7", commit, from: "eve/hello" } as const;
      const { status, answer } = await hook(fork);
      assert.deepEqual([status, answer.waiting], [202, true]);
      assert.deepEqual(await farm.controller.forgeEvents.approve(answer.event!, "ann"), []);
      await reading.readDue(never);
      assert.deepEqual(await builtFor(answer.event!), ["github-base one 0 base"]);
      const [build] = await farm.controller.forgeEvents.buildsOf(answer.event!);
      assert.ok(build!.repository.endsWith(`#refs/pull/7/head@${commit}`));
      const own = await hook({ ...fork, reference: "8", from: "acme/hello" });
      await reading.readDue(never);
      assert.deepEqual(await builtFor(own.answer.event!), [
        "github-forked one 0 forked",
        "github-forked two 0 forked",
      ]);
      for (let count = 0; count < 3; count++) await endNext(farm.controller, "success");
    });

    test("a server that does not have the commit is asked again, and given up at last", async () => {
      const event = await push("c".repeat(40));
      await reading.readDue(never);
      assert.equal((await farm.controller.forgeEvents.find(event))!.state, "reading");
      await reading.readDue(never);
      const row = (await farm.controller.forgeEvents.find(event))!;
      assert.equal(row.state, "failed");
      assert.match(row.trouble!, /Cannot read '\.croft\.yaml' of http:/);
    });

    test("is built by the clock from the usual branch, each time once, and no more when it says so no more", async () => {
      const { database, configuration } = farm.controller;
      const { repositories } = configuration;
      await farm.commit({ ".croft.yaml": pipeline });
      await push(await farm.commit({}));
      await reading.readDue(never);
      const [schedule] = await database.query<{ next_at: Date }>("select next_at from croft.schedules");
      const due = new Date(schedule!.next_at);
      assert.equal(due.toLocaleTimeString("en-GB", { timeZone: "Europe/Berlin" }), "03:00:00");
      const newest = await farm.commit({ "more.txt": "more" });
      assert.equal(await runDue(database, repositories, new Date(due.getTime() - 1000)), false);
      const later = new Date(due.getTime() + 3 * 86_400_000);
      await Promise.all([runDue(database, repositories, later), runDue(database, repositories, later)]);
      const events = await database.query<{ id: number }>(
        "select id from croft.forge_events where kind = 'schedule'",
      );
      assert.equal(events.length, 1);
      await reading.readDue(never);
      assert.deepEqual(await builtFor(events[0]!.id), ["github-test one 0 test", "github-test two 0 test"]);
      const row = (await farm.controller.forgeEvents.find(events[0]!.id))!;
      assert.deepEqual([row.event.commit, row.trusted], [newest, true]);
      await push(await farm.commit({ ".croft.yaml": null }));
      await reading.readDue(never);
      assert.deepEqual(await database.query("select 1 from croft.schedules"), []);
    });

    test("is read by itself while the controller runs", async () => {
      await using _loop = startEventLoop(farm.controller);
      const asked = "variables: { A: b }\nbuilds: [{ name: own, auxiliary: { db: mariadb-11 } }]\n";
      const event = await push(await farm.commit({ ".croft.yaml": asked }));
      await until(async () => (await builtFor(event)).length === 2, "the builds");
      const [build] = await farm.controller.forgeEvents.buildsOf(event);
      assert.deepEqual(build!.specification.auxiliary, { db: "mariadb-11" });
      assert.deepEqual(taskFor(build!.specification, "m").variables, { A: "b" });
      assert.equal(build!.croft_only, true);
    });
  });

test("what is fetched is one plain file of a bounded size, by allowed protocols only", async () => {
  await using farm = await openGitFarm("embedded");
  const url = farm.controller.configuration.repositories[0]!.url;
  const fetch = (what: string, file: string, protocols = ["http"]) =>
    fetchFile({ url, what, file, protocols });
  symlinkSync("/etc/passwd", join(farm.work, "link"));
  const commit = await farm.commit({ big: "x".repeat(70_000), small: "text" });
  assert.deepEqual(await fetch("refs/heads/main", "small"), { commit, text: "text" });
  assert.deepEqual(await fetch(commit, "none"), { commit, text: undefined });
  await assert.rejects(fetch(commit, "link"), /no plain file/);
  await assert.rejects(fetch(commit, "big"), /it has 70000 bytes/);
  await assert.rejects(fetch(commit, "small", ["https", "ssh"]), /transport 'http' not allowed/);
});
