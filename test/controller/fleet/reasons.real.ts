/**
 * Why builds wait, in situations by chance (`CROFT_REASONS` of them, from `CROFT_REASONS_SEED`): each reason is tried out on the queue
 * itself. What is said to be next is given to the next agent; what waits for something is given to nobody before, and to
 * somebody when that has come about.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Build } from "../../../controller/builds/build.ts";
import type { Offer } from "../../../controller/builds/offer.ts";
import type { OpenController } from "../../../controller/controller.ts";
import type { Paused } from "../../../controller/fleet/pauses.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { Random } from "../../soak/random.ts";
import { databaseKinds, openFarm } from "../in-process.ts";

const wanted = process.env["CROFT_REASONS"];
const count = Number(wanted ?? 20);
const firstSeed = Number(process.env["CROFT_REASONS_SEED"] ?? 1);

/** What could take any build of these situations. */
const ideal = {
  toolchain: "gcc-14",
  interactive: "both",
  machines: ["debian_13", "sid"],
  auxiliaries: [{ name: "postgres_16", ramMinimumKiB: 1 }],
} as const;

/** An agent, and where it is; `busy`: it builds something else. */
interface Placed {
  offer: Offer;
  place: "here" | "elsewhere" | "silent" | "busy";
  isPaused: boolean;
}

interface Situation {
  agents: Placed[];
  pauses: Paused[];
  submitted: object;
  /** Builds of others before it, in its own queue and for another target. */
  before: number;
  others: number;
  refusedBy: string[];
  failedBy: string | null;
}

function situationOf(random: Random): Situation {
  const chance = (share: number) => random.next() < share;
  const agents = ["a", "b", "c"]
    .slice(0, chance(0.1) ? 0 : 1 + Math.floor(random.next() * 3))
    .map((agent): Placed => ({
      offer: {
        agent,
        toolchain: random.pick(["gcc-14", "gcc-14", "clang-19"]),
        interactive: random.pick(["false", "false", "both", "true"] as const),
        machines: random.pick([["debian_13"], ["debian_13"], ["debian_13", "alpine_3"], ["alpine_3"], []]),
        ...(chance(0.5) && { auxiliaries: random.pick([[{ name: "postgres_16" }], [{ name: "redis_7" }]]) }),
      },
      place: random.pick(["here", "here", "elsewhere", "silent", "busy"] as const),
      isPaused: chance(0.2),
    }));
  return {
    agents,
    pauses: chance(0.12)
      ? [
          random.pick([
            { kind: "all", name: "" },
            { kind: "target", name: "t" },
          ] as const),
        ]
      : [],
    submitted: random.pick([
      ...[{}, {}, { interactive: "test" }, { machine: "sid" }, { priority: 1 }],
      ...[{ auxiliary: { db: "postgres_*" } }],
    ]),
    before: chance(0.3) ? 1 + Math.floor(random.next() * 3) : 0,
    others: chance(0.3) ? 2 : 0,
    refusedBy: agents.filter(() => chance(0.15)).map(({ offer }) => offer.agent),
    failedBy: agents.length > 0 && chance(0.1) ? random.pick(agents).offer.agent : null,
  };
}

class Trial {
  readonly #controller: OpenController;
  readonly #situation: Situation;
  build!: Build;

  constructor(controller: OpenController, situation: Situation) {
    this.#controller = controller;
    this.#situation = situation;
  }

  async submit(more: object = {}, target = "t"): Promise<Build> {
    const what = {
      name: "x",
      version: "0",
      repository: "https://x.org/x.git",
      targets: [target],
      priority: 0,
    };
    return (await this.#controller.builds.submit({ ...what, ...more }, null))[0]!;
  }

  async bringAbout(): Promise<void> {
    const { database, waiting, agents, pauses, sessions } = this.#controller;
    const { submitted, before: earlier, others, refusedBy, failedBy } = this.#situation;
    for (const { offer, place, isPaused } of this.#situation.agents) {
      agents.asked(offer, "1.0.0", place === "elsewhere" || place === "silent");
      if (place === "here") waiting.note(offer);
      if (place === "busy") {
        // Any build will do, on a machine of its own
        await this.submit({ interactive: offer.interactive === "true" ? "test" : undefined }, "any");
        const machines = offer.machines.length > 0 ? offer.machines : ["other"];
        assert.ok(await sessions.assign({ ...offer, machines }));
      }
      if (isPaused) await pauses.pause({ kind: "agent", name: offer.agent }, null, null);
    }
    await agents.write();
    const silent = this.#situation.agents
      .filter(({ place }) => place === "silent")
      .map(({ offer }) => offer.agent);
    await database.query(
      "update croft.agents set heard_at = now() - interval '1 hour' where name = any($1::text[])",
      [silent],
    );
    for (let made = 0; made < earlier; made++) await this.submit({ ...submitted, priority: 0 });
    for (let made = 0; made < others; made++) await this.submit({ priority: 2 }, "any");
    this.build = await this.submit(submitted);
    await database.query("update croft.builds set faulty_host = $2, refused_by = $3::text[] where id = $1", [
      ...[this.build.id, failedBy, refusedBy],
    ]);
    for (const pause of this.#situation.pauses) await pauses.pause(pause, null, null);
  }

  async reason(): Promise<string> {
    return (await this.#controller.waiting.of((await this.#controller.builds.find(this.build.id))!))!;
  }

  /** Agents that ask now. */
  get asking(): Offer[] {
    const asking = this.#situation.agents.filter(
      ({ place, isPaused }) => !isPaused && (place === "here" || place === "elsewhere"),
    );
    return asking.map(({ offer }) => offer);
  }

  /** Has agents ask until none is given anything; the ids of what was given, in order. */
  async giveOut(offers: readonly Offer[]): Promise<number[]> {
    const given: number[] = [];
    for (const offer of offers)
      for (;;) {
        const assigned = await this.#controller.sessions.assign(offer);
        if (!assigned) break;
        given.push(assigned.build.id);
      }
    return given;
  }

  /** Who is among some names asks, as it did before. */
  offersOf(names: string): Offer[] {
    const asked = names.split(", ");
    return this.#situation.agents.map(({ offer }) => offer).filter(({ agent }) => asked.includes(agent));
  }

  get busy(): Offer[] {
    const busy = this.#situation.agents.filter(({ place, isPaused }) => place === "busy" && !isPaused);
    return busy.map(({ offer }) => offer);
  }
}

/** Tries a reason out. @throws {AssertionError} if it is not right. */
async function tryOut(controller: OpenController, trial: Trial, reason: string): Promise<void> {
  const { id } = trial.build;
  const isGiven = async (offers: readonly Offer[]) => (await trial.giveOut(offers)).includes(id);
  const byOne = async (offers: readonly Offer[]) => {
    for (const offer of offers) if (await isGiven([offer])) return true;
    return false;
  };
  const resumeTargets = async () => {
    for (const one of await controller.pauses.list())
      if (one.kind !== "agent") await controller.pauses.resume(one);
  };
  const free = async (offers: readonly Offer[]) => {
    // What they build has ended
    await controller.database.query(
      "update croft.sessions set state = 'finished' where agent = any($1::text[])",
      [offers.map(({ agent }) => agent)],
    );
    return await byOne(offers);
  };
  const [, before] = /^(\d+) builds? goe?s? before it$/.exec(reason) ?? [];
  if (/^it is next; /.test(reason)) {
    const [first] = await firstOf(trial);
    assert.equal(first, id);
    return;
  }
  if (before !== undefined || /^a build for target '.*' goes before it/.test(reason)) {
    const given = await trial.giveOut(trial.asking);
    assert.ok(given.indexOf(id) >= Number(before ?? 1), `given after ${given.indexOf(id)}`);
    return;
  }
  assert.equal(await isGiven(trial.asking), false, "given to one who asks");
  const any: Offer = { ...ideal, agent: "z" };
  const [, paused] = /paused \((.*)\)$/.exec(reason) ?? [];
  const [, silent] = /not heard of any more: (.*)\)$/.exec(reason) ?? [];
  const [, refusing] = /^only (.*) ha(?:s|ve) such a machine, and refused it/.exec(reason) ?? [];
  if (/^(?:all targets are|target 't' is) paused/.test(reason)) {
    assert.equal(await isGiven([any]), false);
    await resumeTargets();
    assert.ok(await isGiven([any]));
  } else if (paused !== undefined || /are busy/.test(reason)) {
    const busy = Number(/busy \((\d+)\)/.exec(reason)?.[1] ?? 0);
    if (paused !== undefined) for (const offer of trial.offersOf(paused)) assert.ok(offer, offer.agent);
    const able = [...(paused === undefined ? [] : trial.offersOf(paused)), ...(busy > 0 ? trial.busy : [])];
    assert.ok(await free(able), "given to those that are named when they are free");
  } else if (silent !== undefined) assert.ok(await byOne(trial.offersOf(silent)), "given to the silent ones");
  else if (refusing !== undefined) {
    await controller.database.query("update croft.builds set refused_by = '{}' where id = $1", [id]);
    assert.ok(await byOne(trial.offersOf(refusing)), "given to those that refused it");
  } else await tryLack(trial, reason, byOne);
}

/** What an agent that asks would have to have besides: with it, it is given the build, without, it was not. */
async function tryLack(
  trial: Trial,
  reason: string,
  byOne: (offers: readonly Offer[]) => Promise<boolean>,
): Promise<void> {
  const remedies: [RegExp, (offer: Offer) => Offer][] = [
    [/^no agent asks this controller/, (offer) => offer],
    [/^no agent offers a machine '/, (offer) => ({ ...offer, ...ideal })],
    [
      /has a toolchain '/,
      (offer) => ({ ...offer, toolchain: "gcc-14", interactive: "both", auxiliaries: ideal.auxiliaries }),
    ],
    [
      /takes interactive builds/,
      (offer) => ({ ...offer, interactive: "both", auxiliaries: ideal.auxiliaries }),
    ],
    [
      /take interactive builds only$/,
      (offer) => ({ ...offer, interactive: "both", auxiliaries: ideal.auxiliaries }),
    ],
    [/auxiliary machine/, (offer) => ({ ...offer, auxiliaries: ideal.auxiliaries })],
  ];
  const remedy = remedies.find(([pattern]) => pattern.test(reason));
  assert.ok(remedy, "a reason that is not known here");
  if (/^no agent asks/.test(reason)) {
    assert.deepEqual(trial.asking, []);
    return assert.ok(await byOne([{ ...ideal, agent: "z" }]));
  }
  assert.ok(trial.asking.length > 0);
  assert.ok(
    await byOne(trial.asking.map((offer) => ({ ...remedy[1](offer), agent: `${offer.agent}2` }))),
    "the remedy",
  );
}

/** What is given first to one of those who ask and may have the build, each asked for itself. */
async function firstOf(trial: Trial): Promise<number[]> {
  const given: number[] = [];
  for (const offer of trial.asking) {
    given.push(...(await trial.giveOut([offer])).slice(0, 1));
    if (given.includes(trial.build.id)) return [trial.build.id];
  }
  return given;
}

for (const [database, skip] of databaseKinds)
  describe(
    `reasons by chance (${database})`,
    {
      skip: skip || (wanted === undefined && database === "server" && "a long part"),
      timeout: 6 * patienceMs,
    },
    () => {
      let controller: OpenController;
      before(async () => {
        const targets = ["{ name: t, machine: debian_*, toolchain: gcc* }", "{ name: any, machine: '*' }"];
        controller = await openFarm(database, `targets: [${targets.join(", ")}]\n`);
      });
      after(() => controller[Symbol.asyncDispose]());

      async function clear(): Promise<void> {
        const { database: sql, pauses, agents, waiting } = controller;
        await sql.query("truncate croft.builds, croft.turns, croft.served restart identity cascade");
        await sql.query(
          "update croft.queues set running = 0, queued = 0, finished = 0, cancelled = 0, last_turn = null",
        );
        for (const one of await pauses.list()) await pauses.resume(one);
        await agents.write();
        await sql.query("delete from croft.agents");
        for (const agent of ["a", "b", "c"]) waiting.forget({ ...ideal, agent });
      }

      test(`of ${count} situations all reasons are right`, async (context) => {
        const kinds = new Map<string, number>();
        const wrong: string[] = [];
        for (let seed = firstSeed; seed < firstSeed + count; seed++) {
          await clear();
          const situation = situationOf(new Random(seed));
          const trial = new Trial(controller, situation);
          await trial.bringAbout();
          const reason = await trial.reason();
          const kind = reason.replace(/'[^']*'|\([^)]*\)|\d+/g, "…");
          kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
          try {
            await tryOut(controller, trial, reason);
          } catch (error) {
            wrong.push(
              `seed ${seed}: ${reason}: ${(error as Error).message.split("\n")[0]}: ${JSON.stringify(situation)}`,
            );
          }
        }
        context.diagnostic(
          `${count - wrong.length} of ${count} right; ${kinds.size} kinds: ${JSON.stringify([...kinds])}`,
        );
        assert.deepEqual(wrong, []);
      });
    },
  );
