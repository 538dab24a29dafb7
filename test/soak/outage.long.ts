/** A controller that is down for a minute at the moment of the result */
import { test } from "node:test";
import { outage } from "./outage.ts";

test("a controller that is down for a minute at the moment of the result", async (t) => {
  t.diagnostic(await outage(60));
});
