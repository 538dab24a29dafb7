import { test } from "node:test";
import { checkMatrix } from "./whole-matrix.ts";

test("4 targets at 3 commits on two hosts are as if built one by one, and built once", async () => {
  await checkMatrix({
    ...{ targets: 4, hosts: ["alpha", "beta"], maxBuilds: 1, seconds: 1 },
    steps: [{}, { warns: ["board_0"], breaks: ["board_1"], reconfigures: ["board_2"] }, { warns: "all" }],
  });
});
