/** 4 instances, 6 machines, 2 controllers: 40 builds, with machines upgraded in the middle */
import { test } from "node:test";
import { buildWithInstances } from "./instances.ts";

test("4 instances, 6 machines, 2 controllers: 40 builds, each exactly once, with machines upgraded in the middle", async (t) => {
  t.diagnostic(await buildWithInstances(40, { machines: 6, instances: 4 }));
});
