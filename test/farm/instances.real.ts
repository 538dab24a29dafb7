import { test } from "node:test";
import { buildWithInstances } from "../soak/instances.ts";

test("2 instances, 2 machines, 2 controllers: 4 builds, each exactly once, with machines upgraded in the middle", async (t) => {
  t.diagnostic(await buildWithInstances(4, { machines: 2, instances: 2 }));
});
