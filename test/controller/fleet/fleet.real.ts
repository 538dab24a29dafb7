/** What the farm does, as the interface and the commands tell it, and pauses; on both databases. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Assignment } from "../../../controller/builds/sessions.ts";
import { startControl } from "../../../controller/control.ts";
import type { OpenController } from "../../../controller/controller.ts";
import type { PauseKind } from "../../../controller/fleet/pauses.ts";
import { startServer } from "../../../controller/server.ts";
import { packageFile } from "../../../os/files/package.ts";
import { run, type RunResult } from "../../../os/run.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";
import { postTaskRequest, receivedTask, requestTask, sendResult, submit } from "../farm.ts";
import { databaseKinds, openFarm } from "../in-process.ts";
import { until } from "../until.ts";

const configuration = `listen: 127.0.0.1:0
targets:
  - { name: debian, machine: debian_* }
  - { name: alpine, machine: alpine_* }
  - { name: narrow, machine: narrow_*, limit: 4 }
`;

const machines = (...names: string[]) => names.map((name) => ({ id: `${name}-1`, name, summary: name }));
const debian = (agent: string) => ({ agent, machines: machines("debian_13") });

for (const [database, skip] of databaseKinds)
  describe(`a farm as a whole (${database})`, { skip, timeout: patienceMs }, () => {
    const resources = new AsyncDisposableStack();
    let controller: OpenController;
    let url = "";
    before(async () => {
      controller = resources.use(await openFarm(database, configuration));
      ({ url } = resources.use(await startServer(controller)));
      resources.use(await startControl(controller));
    });
    after(() => resources.disposeAsync());
    beforeEach(async () => {
      const { database: sql, pauses, waiting } = controller;
      await sql.query("truncate croft.builds, croft.turns, croft.served restart identity cascade");
      await sql.query("update croft.queues set running = 0, queued = 0, finished = 0, cancelled = 0");
      for (const one of await pauses.list()) await pauses.resume(one);
      await controller.agents.write();
      await sql.query("delete from croft.agents");
      for (const agent of ["a", "b", "c"])
        waiting.forget({ agent, toolchain: "", interactive: "false", machines: [] });
    });

    async function get<T>(path: string): Promise<T> {
      const response = await fetch(`${url}/api/v1/${path}`);
      assert.equal(response.status, 200, path);
      return (await response.json()) as T;
    }

    /** As somebody types it; of the controller on this host, unless one is named. */
    async function croft(line: string): Promise<RunResult> {
      const argv = [process.execPath, packageFile("bin", "main.ts"), ...line.split(" ")];
      const env = { ...process.env, CROFT_CONTROLLER: "" };
      return await run(argv, { timeoutSeconds: patienceSeconds, env, accept: [1, 2] });
    }

    const { pause, resume } = {
      pause: (kind: PauseKind, name = "", reason: string | null = null) =>
        controller.pauses.pause({ kind, name }, reason, null),
      resume: (kind: PauseKind, name = "") => controller.pauses.resume({ kind, name }),
    };

    const waits = async (id: number) => (await get<{ waiting: string | null }>(`builds/${id}`)).waiting;

    test("tells what agents do, and which machines there are", async () => {
      const id = await submit(url, { targets: ["debian"], version: "1.2.3" });
      const task = await requestTask(url, { agent: "a", machines: machines("debian_12", "debian_13") });
      await requestTask(url, { agent: "b", machines: machines("debian_13", "alpine_3") });
      await postTaskRequest(url, { agent: "c", machines: machines("alpine_3") });
      await controller.agents.write();
      await controller.database.query(
        "update croft.agents set heard_at = now() - interval '1 hour' where name = 'c'",
      );
      type Agent = {
        name: string;
        state: string;
        version: string;
        builds: { id: number; machine: string }[];
      };
      const { agents } = await get<{ agents: Agent[] }>("agents");
      assert.deepEqual(
        agents.map(({ name, state, version }) => [name, state, version]),
        [
          ["a", "building", "1.0.0"],
          ["b", "idle", "1.0.0"],
          ["c", "silent", "1.0.0"],
        ],
      );
      assert.deepEqual(
        agents.map(({ builds }) => builds.map((build) => [build.id, build.machine])),
        [[[id, "debian_12"]], [], []],
      );
      type Machine = { name: string; agents: { agent: string; state: string }[] };
      const answer = await get<{ machines: Machine[] }>("machines");
      assert.deepEqual(
        answer.machines.map((machine) => [
          machine.name,
          machine.agents.map(({ agent, state }) => `${agent} ${state}`).join(),
        ]),
        [
          ["alpine_3", "b idle,c silent"],
          ["debian_12", "a building"],
          ["debian_13", "a idle,b idle"],
        ],
      );
      await sendResult(task, "success");
      const after = await get<{ agents: Agent[] }>("agents");
      assert.equal(after.agents[0]!.state, "idle", "an agent that has just ended a build is there");
    });

    test("tells of each target what waits, how long and why, and what is given next", async () => {
      const first = await submit(url, { targets: ["debian"], version: "1" });
      const urgent = await submit(url, { targets: ["debian"], version: "2", priority: 5 });
      const other = await submit(url, { targets: ["alpine"], version: "1" });
      await controller.agents.write();
      type Target = { name: string; queued: number; oldest: { id: number } | null; waiting: string | null };
      const { targets } = await get<{ targets: Target[] }>("targets");
      assert.deepEqual(
        targets.map(({ name, queued, oldest, waiting }) => [name, queued, oldest?.id, waiting]),
        [
          ["debian", 2, first, "no agent asks this controller for tasks"],
          ["alpine", 1, other, "no agent asks this controller for tasks"],
          ["narrow", 0, undefined, null],
        ],
      );
      const queue = await get<{ queued: number; builds: { id: number; waiting: string }[] }>("queue?limit=2");
      assert.equal(queue.queued, 3);
      assert.deepEqual(
        queue.builds.map(({ id }) => id),
        [urgent, first],
      );
    });

    test("a paused target gives no builds, of queues that are made later neither, and says so until it goes on", async () => {
      await pause("target", "debian", "maintenance");
      const id = await submit(url, { targets: ["debian"], version: "1" });
      const later = await submit(url, { targets: ["debian"], version: "1", machine: "debian_1?" });
      await submit(url, { targets: ["alpine"], version: "1" });
      assert.equal((await requestTask(url, debian("a"))).session, "");
      assert.equal(await waits(id), "target 'debian' is paused (maintenance)");
      assert.equal(await waits(later), "target 'debian' is paused (maintenance)");
      assert.notEqual((await requestTask(url, { agent: "b", machines: machines("alpine_3") })).session, "");
      await resume("target", "debian");
      assert.notEqual((await requestTask(url, debian("a"))).session, "");
    });

    test("while all is paused no agent is given anything; what is paused beside it stays so", async () => {
      await pause("target", "debian");
      await pause("all");
      const id = await submit(url, { targets: ["alpine"], version: "1" });
      assert.equal(await waits(id), "all targets are paused");
      const both = { agent: "b", machines: machines("alpine_3", "debian_13") };
      assert.equal((await requestTask(url, both)).session, "");
      await resume("all");
      const held = await submit(url, { targets: ["debian"], version: "1" });
      assert.notEqual((await requestTask(url, both)).session, "");
      assert.equal((await requestTask(url, both)).session, "");
      assert.equal(await waits(held), "target 'debian' is paused");
    });

    test("a paused agent is given nothing and does not wait to be woken; others are", async () => {
      await requestTask(url, debian("a"));
      await pause("agent", "a");
      const id = await submit(url, { targets: ["debian"], version: "1" });
      const answer = await postTaskRequest(url, debian("a"), "; wake");
      assert.equal(answer.headers.get("croft-wake-url"), null);
      assert.equal((await receivedTask(answer)).session, "");
      assert.equal(await waits(id), "all agents that could build it are paused (a)");
      assert.notEqual((await requestTask(url, debian("b"))).session, "");
      await submit(url, { targets: ["debian"], version: "2" });
      await resume("agent", "a");
      assert.notEqual((await requestTask(url, debian("a"))).session, "");
    });

    test("what is paused goes on for whoever waits, as soon as the pause ends", async () => {
      await pause("all");
      await submit(url, { targets: ["debian"], version: "1" });
      const answer = await postTaskRequest(url, debian("a"), "; wake");
      const woken = fetch(answer.headers.get("croft-wake-url")!);
      await until(() => Promise.resolve(controller.wakeUps.count === 1), "an agent that waits");
      await resume("all");
      assert.equal((await woken).status, 200);
    });

    test("over HTTP only an administrator's token pauses and resumes", async () => {
      const { tokens } = controller;
      const admin = await tokens.create("root", "admin");
      const submitter = await tokens.create("ann", "trusted");
      const ask = async (method: string, token?: string) => {
        const query = method === "DELETE" ? "?kind=all" : "";
        const response = await fetch(`${url}/api/v1/pauses${query}`, {
          method,
          headers: {
            ...(method === "POST" ? { "content-type": "application/json" } : {}),
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          },
          ...(method === "POST" ? { body: JSON.stringify({ kind: "all", reason: "x" }) } : {}),
        });
        await response.text();
        return response.status;
      };
      for (const method of ["POST", "DELETE"])
        assert.deepEqual([await ask(method), await ask(method, submitter)], [401, 403]);
      assert.equal(await ask("POST", admin), 201);
      type Pause = { kind: string; by: string; reason: string };
      const { pauses } = await get<{ pauses: Pause[] }>("pauses");
      assert.deepEqual(
        pauses.map(({ kind, by, reason }) => [kind, by, reason]),
        [["all", "root", "x"]],
      );
      assert.deepEqual([await ask("DELETE", admin), await ask("DELETE", admin)], [200, 400]);
      await tokens.revoke("root");
      await tokens.revoke("ann");
    });

    test("a limit holds for all queues of a target together, whoever asks at the same time", async () => {
      for (const machine of ["narrow_*", "narrow_1", "narrow_?"])
        for (let count = 0; count < 3; count++)
          await submit(url, { targets: ["narrow"], version: "1", machine });
      const offer = {
        agent: "a",
        toolchain: "default",
        interactive: "false",
        machines: ["narrow_1"],
      } as const;
      const given: Assignment[] = [];
      const ask = async () => {
        for (let misses = 0; misses < 3;) {
          const assignment = await controller.sessions.assign(offer);
          if (assignment) given.push(assignment);
          else misses++;
        }
      };
      await Promise.all(Array.from({ length: 6 }, ask));
      assert.equal(given.length, 4);
      const next = (await get<{ builds: { id: number; waiting: string }[] }>("queue")).builds;
      assert.equal(next.length, 5);
      for (const { waiting } of next)
        assert.equal(waiting, "4 for target 'narrow' are being built, as many as may be at once");
      const { session } = given[0]!;
      await controller.results.store(session, { version: "1", status: "success", operations: [] });
      await Promise.all(Array.from({ length: 6 }, ask));
      assert.equal(given.length, 5);
    });

    test("is measured: depth and age by target, agents by state, how long builds waited and took", async () => {
      await submit(url, { targets: ["debian"], version: "1" });
      await submit(url, { targets: ["debian"], version: "2" });
      await controller.database.query("update croft.builds set queued_at = now() - interval '100 seconds'");
      const task = await requestTask(url, debian("a"));
      await controller.database.query("update croft.sessions set created_at = now() - interval '20 minutes'");
      const repeated = [await sendResult(task, "warning"), await sendResult(task, "warning")];
      assert.deepEqual(
        repeated.map(({ status }) => status),
        [204, 204],
      );
      await requestTask(url, { agent: "b", machines: machines("alpine_3") });
      await pause("target", "debian");
      const text = await (await fetch(`${url}/metrics`)).text();
      const value = (name: string, ...labels: string[]) => {
        const isIt = (line: string) =>
          line.startsWith(`${name}{`) && labels.every((label) => line.includes(label));
        return Number(text.split("\n").find(isIt)?.split(" ").at(-1));
      };
      const [debianOnly, alpineOnly] = ['target="debian"', 'target="alpine"'];
      assert.equal(value("croft_target_queued", debianOnly), 1);
      assert.equal(value("croft_target_building", debianOnly), 0);
      assert.ok(value("croft_target_oldest_queued_seconds", debianOnly) >= 100);
      assert.equal(value("croft_target_oldest_queued_seconds", alpineOnly), 0);
      assert.equal(value("croft_target_idle_agents", alpineOnly), 1);
      assert.equal(value("croft_target_paused", debianOnly), 1);
      assert.equal(value("croft_agents", 'state="idle"'), 2);
      const warnings = [debianOnly, 'status="warning"'];
      assert.equal(value("croft_build_attempt_seconds_count", ...warnings), 1);
      assert.equal(value("croft_build_attempt_seconds_bucket", 'le="900"', ...warnings), 0);
      assert.ok(value("croft_build_wait_seconds_count", debianOnly) >= 1);
      assert.ok(value("croft_build_wait_seconds_sum", debianOnly) >= 100);
    });

    if (database === "embedded")
      test("is commanded and looked at by who types", async () => {
        const [data, at] = [`--data ${controller.directory.path}`, `--controller ${url}`];
        const id = await submit(url, { targets: ["debian"], version: "1" });
        await requestTask(url, { agent: "a", machines: machines("debian_12", "debian_13") });
        const agents = (await croft(`agents ${at}`)).stdout;
        assert.match(agents, /^AGENT +STATE +SINCE +VERSION +TOOLCHAIN +MACHINES +WHAT$/m);
        const what = new RegExp(
          `^a +building +\\S+ +1\\.0\\.0 +default +debian_12,debian_13 +build ${id} for debian$`,
          "m",
        );
        assert.match(agents, what);
        const paused = await croft(`pause target debian --reason maintenance ${data}`);
        assert.equal(paused.stdout, "target debian: paused; what is being built goes on\n");
        await croft(`pause agent a ${data}`);
        await submit(url, { targets: ["debian"], version: "2" });
        const status = (await croft(`status ${at}`)).stdout;
        assert.match(status, /^1 agent: 1 building, 0 idle, 0 silent; 1 paused$/m);
        assert.match(status, /^debian +1 +1 +0 +\S+ +target 'debian' is paused \(maintenance\)$/m);
        assert.match(status, new RegExp(`^${id} +hello/1 +debian +a +debian_12 +\\S+$`, "m"));
        const json = JSON.parse((await croft(`status --json ${at}`)).stdout) as { targets: unknown[] };
        assert.equal(json.targets.length, 3);
        assert.equal((await croft(`resume target debian ${data}`)).stdout, "target debian: resumed\n");
        const errors: [line: string, said: RegExp][] = [
          [`resume target debian ${data}`, /Cannot resume target 'debian': it is not paused/],
          [`pause target fedora ${data}`, /Cannot pause target 'fedora': there is no target 'fedora'/],
          [`pause agent z ${data}`, /Cannot pause agent 'z': no agent of this name has been heard of here/],
          [`pause all ${at}`, /this needs a token with the role 'admin'/],
          ["pause agent", /no name is given/],
        ];
        for (const [line, said] of errors) assert.match((await croft(line)).stderr, said);
      });
  });
