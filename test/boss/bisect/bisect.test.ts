import assert from "node:assert/strict";
import { test } from "node:test";
import { bisect, type Answer, type BisectEvent } from "../../../boss/bisect/bisect.ts";

const hosts = ["alpha", "beta", "gamma"];

interface World {
  commits: number;
  /** The first that fails. */
  first: number;
  /** How probable it is that a build's outcome is not the commit's. */
  flakes: number;
  seed?: number;
  hosts?: readonly string[];
  /** What a host says in place of an outcome. */
  fault?: (host: string, commit: number) => string | undefined;
  mostBuilds?: number;
}

async function bisectIn({ commits, first, flakes, seed = 1, fault, ...options }: World) {
  const random = randomFrom(seed);
  const events: BisectEvent[] = [];
  const build = (host: string, commit: number): Promise<Answer> => {
    const reason = fault?.(host, commit);
    if (reason !== undefined) return Promise.resolve({ fault: reason });
    return Promise.resolve({ failed: commit >= first !== random() < flakes, stderr: `of ${commit}` });
  };
  const tell = (event: BisectEvent) => void events.push(event);
  const { signal } = new AbortController();
  const outcome = await bisect({ last: commits, hosts, build, tell, signal, ...options });
  return { ...outcome, events };
}

/** Numbers from 0 to 1, the same for a seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed * 7919;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const seeds = Array.from({ length: 20 }, (_, at) => at + 1);
const firstOf = (seed: number) => 1 + Math.floor(randomFrom(seed + 100)() * 1000);

test("of 1,000 commits on three hosts the first bad one is found in 12 builds one after the other", async () => {
  for (const seed of seeds) {
    const first = firstOf(seed);
    const { verdict, rounds, contradictory } = await bisectIn({ commits: 1000, first, flakes: 0 });
    assert.deepEqual([verdict, contradictory], [{ kind: "found", first }, []]);
    assert.ok(rounds <= 12, `${rounds} rounds`);
  }
});

test("with every fifth build wrong, never a wrong commit is told, and in 18 of 20 searches the right one", async () => {
  let found = 0;
  for (const seed of seeds) {
    const first = firstOf(seed);
    const { verdict, contradictory } = await bisectIn({ commits: 1000, first, flakes: 0.2, seed });
    assert.notEqual(contradictory.length, 0);
    if (verdict.kind === "found") {
      assert.equal(verdict.first, first);
      found++;
    } else assert.ok(verdict.first <= first && first <= verdict.last);
  }
  assert.ok(found >= 18, `${found} found`);
});

test("what cannot be told is undecided between two commits, and the right one is one of these", async () => {
  for (const seed of seeds) {
    const { verdict, builds } = await bisectIn({
      commits: 1000,
      first: 300,
      flakes: 0.2,
      seed,
      mostBuilds: 30,
    });
    assert.ok(builds <= 32);
    if (verdict.kind === "found") assert.equal(verdict.first, 300);
    else assert.ok(verdict.first <= 300 && 300 <= verdict.last);
  }
});

test("it is told if the good commit fails, and if the bad one does not", async () => {
  for (const first of [0, 1, 10, 11])
    assert.deepEqual((await bisectIn({ commits: 10, first, flakes: 0 })).verdict, { kind: "found", first });
  for (const first of [0, 1, 2])
    assert.deepEqual((await bisectIn({ commits: 1, first, flakes: 0 })).verdict, { kind: "found", first });
});

test("a host's fault is no answer; a host that has two of them is left out, and the others go on", async () => {
  const fault = (host: string) => (host === "beta" ? "bison: not found" : undefined);
  const { verdict, events } = await bisectIn({ commits: 100, first: 42, flakes: 0, fault });
  assert.deepEqual(verdict, { kind: "found", first: 42 });
  const faults = events.filter((event) => event.kind === "fault");
  assert.deepEqual(
    faults.map(({ host, leftOut }) => [host, leftOut]),
    [
      ["beta", false],
      ["beta", true],
    ],
  );
  const all = bisectIn({ commits: 100, first: 42, flakes: 0, fault: () => "its disk is full" });
  await assert.rejects(
    all,
    /^Failure: Cannot bisect: no host is left that could build: alpha: its disk is full; beta/,
  );
});

test("a commit is built again on another host, and what it said is kept", async () => {
  const { events, stderrOf } = await bisectIn({ commits: 100, first: 42, flakes: 0 });
  const hostsOf = (commit: number) =>
    new Set(events.filter((event) => event.commit === commit).map(({ host }) => host));
  assert.ok(hostsOf(42).size >= 2 && hostsOf(41).size >= 2);
  assert.deepEqual(
    [stderrOf(42, true), stderrOf(41, false), stderrOf(42, false)],
    ["of 42", "of 41", undefined],
  );
});
