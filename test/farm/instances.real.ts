import { test } from "node:test";
import { buildWithInstances } from "../soak/instances.ts";

test("2 instances, 3 machines, 2 controllers: 6 builds, each exactly once, with machines upgraded in the middle", async (t) => {
  t.diagnostic(await buildWithInstances(6, { machines: 3, instances: 2 }));
});
