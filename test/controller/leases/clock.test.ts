/** Clocks that are set, and controllers that stand still, while builds are being built. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LeaseClock } from "../../../controller/leases/clock.ts";

const day = 24 * 3600 * 1000;

test("a clock that is set by a day is told from one that goes on, and from a controller that stood still", () => {
  let [own, database] = [0, Date.UTC(2026, 0, 1)];
  const clock = new LeaseClock(() => own);
  const after = (ownMs: number, databaseMs = ownMs) => {
    own += ownMs;
    database += databaseMs;
    return clock.look(new Date(database));
  };
  assert.deepEqual(
    [after(0), after(5000), after(5000, 5000 + day), after(5000), after(5000, 5000 - day), after(5000)],
    ["stood still", "steady", "jumped", "steady", "jumped", "steady"],
  );
  assert.deepEqual([after(14_000), after(16_000), after(5000)], ["steady", "stood still", "steady"]);
});
