/** A matrix of 400 builds on three hosts, against the same builds one by one. */
import { test } from "node:test";
import { checkMatrix } from "./whole-matrix.ts";

test("40 targets at 10 commits on three hosts are as if built one by one, and built once", async () => {
  await checkMatrix({
    ...{ targets: 40, hosts: ["alpha", "beta", "gamma"], maxBuilds: 2 },
    steps: [
      {},
      { warns: ["board_3", "board_7"] },
      { breaks: ["board_5"], reconfigures: ["board_9"] },
      { breaks: ["board_5", "board_6"] },
      {},
      { breaks: "all" },
      { warns: "all" },
      {},
      { reconfigures: ["board_1", "board_2"] },
      { breaks: ["board_8"] },
    ],
  });
});
