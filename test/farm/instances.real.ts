import { test } from "node:test";
import { buildWithInstances } from "../soak/instances.ts";

test("4 instances, 6 machines, 2 controllers: 12 builds, each exactly once, with machines upgraded in the middle", async (t) => {
  t.diagnostic(await buildWithInstances(12));
});
