/** Why builds wait: situations that are brought about, each with what it is to be told of it; on both databases. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Offer } from "../../../controller/builds/offer.ts";
import type { OpenController } from "../../../controller/controller.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { databaseKinds, openFarm } from "../in-process.ts";

const usual: Offer = { agent: "a", toolchain: "gcc-14", interactive: "false", machines: ["debian_13"] };

/** What is done before somebody asks. */
interface Situation {
  /** What agents of this controller and of others offer; no machines: none of the controllers hears of it. */
  here?: Partial<Offer>[];
  elsewhere?: (Partial<Offer> & { silent?: true })[];
  /** Of the build. */
  submitted?: object;
  /** Agents that are given a build each, of another package, before. */
  busy?: string[];
  pauses?: [kind: "all" | "agent" | "target", name?: string, reason?: string][];
  /** Builds of somebody else that go before it. */
  before?: number;
  failedBy?: string;
  refusedBy?: string[];
}

const next = "it is next; an idle agent is about to take it";
const nobody = "no agent asks this controller for tasks";

const situations: [why: string, situation: Situation][] = [
  [nobody, {}],
  [next, { here: [{}] }],
  [next, { elsewhere: [{}] }],
  [next, { here: [{ machines: ["alpine_3"] }], elsewhere: [{ agent: "b" }] }],
  ["no agent offers a machine 'debian_*' (offered: alpine_3)", { here: [{ machines: ["alpine_3"] }] }],
  ["no agent offers a machine 'debian_*' (offered: alpine_3)", { elsewhere: [{ machines: ["alpine_3"] }] }],
  ["no agent offers a machine 'sid' (offered: debian_13)", { here: [{}], submitted: { machine: "sid" } }],
  ["no agent offers a machine 'debian_*' (offered: none)", { here: [{ machines: [] }] }],
  [
    "no agent with such a machine takes interactive builds (--interactive)",
    { here: [{}], submitted: { interactive: "test" } },
  ],
  [next, { here: [{ interactive: "both" }], submitted: { interactive: "test" } }],
  ["agents with such a machine take interactive builds only", { here: [{ interactive: "true" }] }],
  [
    "no agent with such a machine has a toolchain 'gcc*' (there: clang-19)",
    { here: [{ toolchain: "clang-19" }] },
  ],
  [
    "no agent with such a machine has a toolchain 'gcc*' (there: clang-19)",
    { here: [{ toolchain: "clang-19", interactive: "both" }], submitted: { interactive: "test" } },
  ],
  ["all agents that could build it are busy (1)", { busy: ["a"] }],
  ["all agents that could build it are busy (2)", { busy: ["a", "b"] }],
  ["all agents that could build it are busy (1)", { busy: ["a"], here: [{ agent: "c", machines: ["x"] }] }],
  ["4 for target 'debian' are being built, as many as may be at once", { busy: ["a", "b", "c", "d"] }],
  ["all targets are paused", { here: [{}], pauses: [["all"]] }],
  ["all targets are paused (we move)", { pauses: [["all", "", "we move"]] }],
  ["target 'debian' is paused (broken)", { here: [{}], pauses: [["target", "debian", "broken"], ["all"]] }],
  ["all agents that could build it are paused (a)", { elsewhere: [{}], pauses: [["agent", "a"]] }],
  [next, { elsewhere: [{}, { agent: "b" }], pauses: [["agent", "a", "noisy"]] }],
  [
    "all agents that could build it are busy (1) or paused (b)",
    { busy: ["a"], elsewhere: [{ agent: "b" }], pauses: [["agent", "b"]] },
  ],
  [
    "no agent that could build it asks for tasks (not heard of any more: b)",
    { elsewhere: [{ agent: "b", silent: true }] },
  ],
  [
    "no agent that could build it asks for tasks (not heard of any more: b)",
    { here: [{ machines: ["x"] }], elsewhere: [{ agent: "b", silent: true }] },
  ],
  [nobody, { elsewhere: [{ machines: ["alpine_3"], silent: true }] }],
  ["1 build goes before it", { here: [{}], before: 1 }],
  ["7 builds go before it", { elsewhere: [{}], before: 7 }],
  [next, { here: [{}], before: 3, submitted: { priority: 1 } }],
  [
    "it is next; an idle agent other than a, which failed it, is about to take it",
    { here: [{}, { agent: "b" }], failedBy: "a" },
  ],
  [next, { here: [{}], failedBy: "a" }],
  [
    "it is next; an idle agent other than a, which refused it, is about to take it",
    { here: [{}, { agent: "b" }], refusedBy: ["a"] },
  ],
  ["only a has such a machine, and refused it (no reason is known)", { here: [{}], refusedBy: ["a"] }],
  [
    "only a, b have such a machine, and refused it (no reason is known)",
    { here: [{}, { agent: "b" }], refusedBy: ["a", "b"] },
  ],
];

for (const [database, skip] of databaseKinds)
  describe(`a build that waits says why (${database})`, { skip, timeout: patienceMs }, () => {
    let controller: OpenController;
    before(async () => {
      const target = "{ name: debian, machine: debian_*, toolchain: gcc*, limit: 4 }";
      controller = await openFarm(database, `targets: [${target}]\n`);
    });
    after(() => controller[Symbol.asyncDispose]());
    beforeEach(async () => {
      const { database: sql, pauses, agents, waiting } = controller;
      await sql.query("truncate croft.builds, croft.turns, croft.served restart identity cascade");
      await sql.query("update croft.queues set running = 0, queued = 0, finished = 0, cancelled = 0");
      for (const one of await pauses.list()) await pauses.resume(one);
      await agents.write();
      await sql.query("delete from croft.agents");
      for (const agent of ["a", "b", "c", "d"]) waiting.forget({ ...usual, agent });
    });

    async function submit(more: object = {}): Promise<number> {
      const what = {
        name: "x",
        version: "0",
        repository: "https://x.org/x.git",
        targets: ["*"],
        priority: 0,
      };
      return (await controller.builds.submit({ ...what, ...more }, null))[0]!.id;
    }

    async function bringAbout(situation: Situation): Promise<number> {
      const { database: sql, waiting, agents, pauses, sessions } = controller;
      for (const agent of situation.busy ?? []) {
        await submit();
        assert.ok(await sessions.assign({ ...usual, agent }));
      }
      for (let count = 0; count < (situation.before ?? 0); count++) await submit();
      const id = await submit(situation.submitted);
      for (const offer of situation.here ?? []) waiting.note({ ...usual, ...offer });
      for (const { silent, ...offer } of situation.elsewhere ?? []) {
        agents.asked({ ...usual, ...offer }, "1.0.0", true);
        await agents.write();
        if (silent)
          await sql.query("update croft.agents set heard_at = now() - interval '1 hour' where name = $1", [
            offer.agent ?? usual.agent,
          ]);
      }
      for (const [kind, name = "", reason = null] of situation.pauses ?? [])
        await pauses.pause({ kind, name }, reason, null);
      await sql.query("update croft.builds set faulty_host = $2, refused_by = $3::text[] where id = $1", [
        id,
        situation.failedBy ?? null,
        situation.refusedBy ?? [],
      ]);
      return id;
    }

    for (const [why, situation] of situations)
      test(`${why}: ${JSON.stringify(situation)}`, async () => {
        const id = await bringAbout(situation);
        assert.equal(await controller.waiting.of((await controller.builds.find(id))!), why);
      });
  });
