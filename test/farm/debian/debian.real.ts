/** Real compilers in a Debian machine, all the way to the controller. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { buildIn, debianFarm, makefile, program } from "./farm.ts";

const farm = debianFarm();

test("a compiler's warning makes update one with warnings, a failing test is an error of the operation test", async () => {
  const { view, statuses, log } = await buildIn(farm(), "wrong", {
    "hello.c": program(`int unused;\nputs("hello");`),
    Makefile: makefile("./hello | grep goodbye"),
  });
  assert.equal(view.status, "error", log);
  assert.match(log, /warning: unused variable/);
  assert.deepEqual(statuses.slice(-2), ["update warning", "test error"]);
});
