/** When silence is thought to be the network's, by time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NetworkSuspicion } from "../../../controller/leases/suspicion.ts";

function suspicion() {
  let now = 0;
  const suspicion = new NetworkSuspicion(() => now);
  /** What is seen so many seconds later, of 12 leases. */
  return (afterSeconds: number, late: number, over = late, signing = 12) => {
    now += afterSeconds * 1000;
    return suspicion.look({ signing, late, over });
  };
}

test("one host of many that falls silent has died, and so have two that were all there is", () => {
  const see = suspicion();
  assert.deepEqual(
    [see(0, 0), see(5, 1), see(5, 4), see(5, 2, 2, 2), see(5, 1, 1, 1)],
    Array(5).fill("none"),
  );
});

test("when more than a third fall silent at once, no lease ends for two minutes, once", () => {
  const see = suspicion();
  assert.equal(see(0, 5, 0), "none", "they are late only");
  assert.deepEqual([see(5, 5, 1), see(5, 12), see(114, 12)], ["arises", "holds", "holds"]);
  assert.deepEqual([see(1, 12), see(5, 12), see(1000, 12)], ["none", "none", "none"], "they are gone");
  assert.equal(see(5, 3, 3, 3), "none", "those that are left are still the same");
  assert.deepEqual([see(5, 0), see(5, 5)], ["none", "arises"], "another time");
});

test("it holds for its two minutes, also when the agents are heard of again: some still wait for an answer", () => {
  const see = suspicion();
  see(0, 12);
  assert.deepEqual([see(60, 2), see(59, 0), see(1, 1)], ["holds", "holds", "none"]);
});
