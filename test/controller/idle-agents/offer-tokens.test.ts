/** What is kept in memory of the offers of waiting agents. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OfferTokens } from "../../../controller/idle-agents/offer-tokens.ts";
import { DatabaseDouble } from "../builds/database-double.ts";

const offer = { toolchain: "t", interactive: "false", machines: ["m"] };

test("an offer is read once an hour, a large one each time; one that is not known is looked for each time", async () => {
  for (const [bytes, rows, reads] of [
    [100, [offer], [1, 0, 1]],
    [17_000, [offer], [1, 1, 1]],
    [100, [], [1, 1, 1]],
  ] as const) {
    let now = 0;
    const database = new DatabaseDouble({
      "select offer": () => rows.map((one) => ({ offer: one, bytes })),
    });
    const tokens = new OfferTokens(database, () => now);
    const counts: number[] = [];
    for (now of [0, 3_599_999, 3_600_000]) {
      assert.deepEqual(await tokens.find("token"), rows[0]);
      counts.push(database.statements.splice(0).length);
    }
    assert.deepEqual(counts, reads, String(bytes));
  }
});
