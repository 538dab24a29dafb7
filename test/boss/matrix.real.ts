import { test } from "node:test";
import { checkMatrix } from "./whole-matrix.ts";

test("10 targets at 10 commits on three hosts are as if built one by one, and built once", async () => {
  await checkMatrix(10);
});
