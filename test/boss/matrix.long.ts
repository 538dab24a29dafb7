/** A matrix of 400 builds on three hosts, against the same builds one by one. */
import { test } from "node:test";
import { checkMatrix } from "./whole-matrix.ts";

test("40 targets at 10 commits on three hosts are as if built one by one, and built once", async () => {
  await checkMatrix(40);
});
