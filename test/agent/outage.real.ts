import { test } from "node:test";
import { outage } from "../soak/outage.ts";

test("a controller that is not there at the moment of the result gets it once when it is back", async (t) => {
  t.diagnostic(await outage(4));
});
