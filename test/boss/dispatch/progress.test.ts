import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Matrix } from "../../../boss/matrix/matrix.ts";
import { Progress } from "../../../boss/progress.ts";

const host = (name: string) => ({ name, destination: name, workDirectory: "~" });

test("on a terminal lines stand above the progress, and none is mixed with it", () => {
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    let screen = "";
    const matrix = new Matrix([{ name: "t", arch: "sandbox" }], [{ hash: null, subject: "" }]);
    const output = { write: (text: string) => (screen += text), isTTY: true, columns: 30 };
    const progress = new Progress(matrix, output);
    const { observer } = progress;
    for (const name of ["alpha", "beta"]) observer.starting!(host(name));
    for (const name of ["alpha", "beta"]) observer.started!(host(name), 4, 4);
    observer.lost!(host("alpha"), "it \x1b[2Jdied\x07", true);
    observer.starting!(host("alpha"));
    observer.started!(host("alpha"), 4, 4);
    observer.given!(host("alpha"), 0);
    mock.timers.tick(200);
    progress.line("[alpha] make: done");
    progress[Symbol.dispose]();
    const drawn = screen.split("\n");
    const shown = drawn.map((line) => line.split("\x1b[K").at(-1)!);
    assert.deepEqual(shown, [
      "Starting workers 1/2: alpha",
      "Starting workers 2/2: alpha, beta",
      "alpha is lost: it died?; it is started again",
      "Starting workers 2/2: beta, alpha",
      "[alpha] make: done",
      "",
    ]);
    assert.ok(drawn.every((line) => line.split("\r").every((part) => part.length < 60)));
  } finally {
    mock.timers.reset();
  }
});
