/** What agents and controller say they have done, set against each other. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parseResultRequest } from "../../manifests/result-request.ts";
import type { BuildView, SoakFarm } from "./farm.ts";
import { until } from "./farm.ts";

export class Accounts {
  readonly #farm: SoakFarm;
  readonly #kills = new Map<string, number>();
  #missed = 0;
  /** Sessions of dead agents whose machines had sent a result completely. */
  readonly #uploaded = new Set<string>();
  /** Sessions of dead agents that had decided a result and not delivered it, and what they had decided. */
  readonly #spooled = new Map<string, string>();
  /** Sessions of dead agents whose result was out of the spool, though they could not say that it was accepted. */
  readonly #unsaid = new Set<string>();

  constructor(farm: SoakFarm) {
    this.#farm = farm;
  }

  killed(victim: string): void {
    this.#kills.set(victim, (this.#kills.get(victim) ?? 0) + 1);
  }

  missed(): void {
    this.#missed++;
  }

  /** Looks at what an agent that was just killed owes, before its successor does. */
  async noteDead(instance: number): Promise<void> {
    await until(
      () => this.#farm.machineOf(instance) === undefined,
      "the machine of a killed agent to end",
      30,
    );
    const spool = this.#farm.at("spool", `default-${instance}`);
    const put = this.#farm.at("tftp", "build", `default-${instance}`, "put");
    const entries = existsSync(spool) ? readdirSync(spool).filter((name) => /^\d{8}T/.test(name)) : [];
    const owed = new Set<string>();
    for (const entry of entries) {
      const assignment = join(spool, entry, "assignment.json");
      if (!existsSync(assignment)) continue;
      const { session } = JSON.parse(readFileSync(assignment, "utf8")) as { session: string };
      owed.add(session);
      const decided = join(spool, entry, "result.manifest");
      if (existsSync(decided))
        this.#spooled.set(session, parseResultRequest(readFileSync(decided)).result.status);
      else if (existsSync(put) && readdirSync(put).some((name) => /^result\.manifest(\.lz4)?$/.test(name)))
        this.#uploaded.add(session);
    }
    const said = this.#sessions("result accepted");
    for (const session of this.#decided().keys())
      if (!said.has(session) && !owed.has(session) && this.#isOf(session, instance))
        this.#unsaid.add(session);
  }

  #isOf(session: string, instance: number): boolean {
    return this.#farm
      .records(this.#farm.agents[instance - 1]!)
      .some((record) => record["session"] === session);
  }

  /** Checks that both sides agree, once all is done; returns the figures, as lines. */
  settle(views: readonly BuildView[]): string[] {
    const decided = this.#decided();
    const accepted = this.#sessions("result accepted").union(this.#unsaid);
    for (const session of [...this.#uploaded, ...this.#spooled.keys()])
      assert.ok(accepted.has(session), `the result of session ${session} was complete and is lost`);
    for (const session of this.#uploaded)
      assert.equal(
        decided.get(session),
        "success",
        `session ${session} was complete, not ${decided.get(session)}`,
      );
    for (const session of decided.keys())
      assert.ok(accepted.has(session), `session ${session} was not accepted`);
    const attempts = views.flatMap((view) => view.attempts);
    for (const view of views) this.#checkOne(view);
    const finished = (status: string) =>
      attempts.filter((attempt) => attempt.state === "finished" && attempt.status === status).length;
    const decidedAs = (status: string) => [...decided.values()].filter((one) => one === status).length;
    for (const status of ["success", "interrupt", "abort"])
      assert.equal(finished(status), decidedAs(status), `results with status ${status}: controller, agents`);
    const without = attempts.filter(({ state }) => state === "superseded" || state === "expired").length;
    const kills = [...this.#kills].map(([victim, times]) => `${victim} ${times}`).sort();
    return [
      `killed: ${kills.join(", ")} (${this.#missed} met no machine)`,
      `${views.length} builds, all finished once: ${attempts.length} attempts, ${finished("success")} successes, ` +
        `${finished("interrupt")} interrupted, ${finished("abort")} aborted (their machine was killed), ` +
        `${without} without result (killed before the task was written down, queued again by their lease)`,
      `results of killed agents: ${this.#uploaded.size} found in put/, ${this.#spooled.size} in the spool; ` +
        `delivered: ${[...this.#uploaded, ...this.#spooled.keys()].filter((one) => accepted.has(one)).length}; lost: 0; twice: 0`,
    ];
  }

  #checkOne({ name, status, attempts }: BuildView): void {
    assert.equal(status, "success", name);
    const successes = attempts.filter((attempt) => attempt.status === "success");
    assert.equal(successes.length, 1, `${name}: ${JSON.stringify(attempts)}`);
    assert.equal(successes[0], attempts.at(-1), `${name}: ${JSON.stringify(attempts)}`);
    assert.ok(this.#farm.sources.count("done", name) >= 1, name);
  }

  /** Session to the status that an agent has decided for it. */
  #decided(): Map<string, string> {
    const decided = new Map(this.#spooled); // it may not have said so
    for (const agent of this.#farm.agents)
      for (const { msg, session, status } of this.#farm.records(agent)) {
        if (msg !== "task performed" && msg !== "task of a crashed predecessor decided") continue;
        const before = decided.get(String(session));
        assert.ok(before === undefined || before === status, `session ${String(session)} decided twice`);
        decided.set(String(session), String(status));
      }
    return decided;
  }

  #sessions(message: string): Set<string> {
    const found = new Set<string>();
    for (const agent of this.#farm.agents)
      for (const { msg, session } of this.#farm.records(agent))
        if (msg === message) found.add(String(session));
    return found;
  }
}
