/** Real compilers in a Debian machine, all the way to the controller. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { packSource } from "../worker/sources.ts";
import { debianFarm } from "./debian-farm.ts";

const farm = debianFarm();

const makefile = (test: string) =>
  `all: hello\nhello: hello.c\n\tcc -Wall -o hello hello.c\ntest: hello\n\t${test}\n`;
const program = (line: string) => `#include <stdio.h>\nint main(void) {\n${line}\nreturn 0;\n}\n`;

async function build(name: string, files: Record<string, string>) {
  await packSource(farm().sources, files, `${name}-1.0.tar.gz`);
  const id = await farm().submit({ name });
  const view = await farm().ended(id, 300);
  return {
    view,
    statuses: view.operations.map((operation) => `${operation.name} ${operation.status}`),
    log: await farm().log(id),
  };
}

test("a compile error is an error of the operation update, and its message is in the log", async () => {
  const { view, statuses, log } = await build("broken", {
    "hello.c": program("return nothing;"),
    Makefile: makefile("./hello"),
  });
  assert.equal(view.status, "error");
  assert.equal(statuses.at(-1), "update error");
  assert.match(log, /hello\.c:3:8: error: .nothing. undeclared/);
});

test("a compiler's warning makes update one with warnings, a failing test is an error of the operation test", async () => {
  const { view, statuses, log } = await build("wrong", {
    "hello.c": program(`int unused;\nputs("hello");`),
    Makefile: makefile("./hello | grep goodbye"),
  });
  assert.equal(view.status, "error", log);
  assert.match(log, /warning: unused variable/);
  assert.deepEqual(statuses.slice(-2), ["update warning", "test error"]);
});
