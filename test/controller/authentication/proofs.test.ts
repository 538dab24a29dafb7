import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { test } from "node:test";
import { AgentProofs } from "../../../controller/authentication/proofs.ts";
import type { Database } from "../../../controller/database/database.ts";
import { makeKey, now, proofOf } from "./proof.ts";

const agent = makeKey();
const url = "http://farm.example/agent/task";
const body = Buffer.from(": 1\n");

/** A database that knows nonces, and how many statements there were. */
function doubleDatabase() {
  const known = new Set<string>();
  const double = { statements: [] as number[], isHeld: undefined as Promise<void> | undefined };
  const query = async <Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> => {
    if (/^\s*delete/.test(text)) return [];
    const [fingerprints, nonces] = values as [string[], string[]];
    double.statements.push(nonces.length);
    await double.isHeld;
    const names = nonces.map((nonce, index) => `${fingerprints[index]} ${nonce}`);
    const taken = [...new Set(names.filter((name) => !known.has(name)))];
    for (const name of taken) known.add(name);
    return [{ now: now(), taken }] as Row[];
  };
  const database: Database = {
    query,
    transaction: (work) => work({ query }),
    [Symbol.asyncDispose]: async () => {},
  };
  return { database, double };
}

const ask = (proofs: AgentProofs, nonce: string, isUrgent: boolean) =>
  proofs.refusal(
    { fingerprint: agent.fingerprint, key: createPublicKey(agent.publicPem) },
    proofOf(agent, { url, body, nonce: nonce.padEnd(22, "x") }),
    { method: "POST", urls: [url], body },
    isUrgent,
  );

test("nonces of requests in no hurry are written together, each counts once, and an urgent one takes them along", async () => {
  const { database, double } = doubleDatabase();
  const patient = new AgentProofs(database, { gatherMs: 20 });
  const together = await Promise.all(["a", "b", "c", "b"].map((nonce) => ask(patient, nonce, false)));
  assert.deepEqual(together, [undefined, undefined, undefined, "the proof was used before"]);
  assert.deepEqual(double.statements, [4]);
  const forEver = new AgentProofs(database, { gatherMs: 1e9 });
  const [idle, urgent, again] = [ask(forEver, "d", false), ask(forEver, "e", true), ask(forEver, "a", true)];
  assert.deepEqual(await Promise.all([idle, urgent, again]), [
    undefined,
    undefined,
    "the proof was used before",
  ]);
  assert.deepEqual(double.statements, [4, 2, 1]);
});

test("what comes while a statement runs is written by the next one; a database that fails fails each of them", async () => {
  const { database, double } = doubleDatabase();
  const proofs = new AgentProofs(database);
  const held = Promise.withResolvers<void>();
  double.isHeld = held.promise;
  const asked = ["a", "b", "c"].map((nonce) => ask(proofs, nonce, true));
  held.resolve();
  assert.deepEqual(await Promise.all(asked), [undefined, undefined, undefined]);
  assert.deepEqual(double.statements, [1, 2]);
  double.isHeld = Promise.reject(new Error("no connection"));
  const failing = await Promise.allSettled(["d", "e"].map((nonce) => ask(proofs, nonce, true)));
  for (const one of failing) assert.equal(one.status, "rejected");
  double.isHeld = undefined;
  assert.equal(await ask(proofs, "f", true), undefined);
});
