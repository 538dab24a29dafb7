import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Matrix } from "../../../boss/matrix/matrix.ts";
import { Progress } from "../../../boss/progress.ts";
import { formatEvents } from "../../../boss/results/summary-text.ts";

const matrix = new Matrix([{ name: "t", arch: "sandbox" }], [{ hash: null, subject: "" }]);

test("each host's fault is told once, with the reason that it had most often", () => {
  const doubted = [
    { host: "alpha", reason: "sh: 1: flex: not found", times: 1 },
    { host: "alpha", reason: "sh: 1: bison: not found", times: 3 },
    { host: "beta", reason: "its disk is full", times: 2 },
  ];
  const outcome = {
    ...{ matrix, doubted, absent: [], lost: [], givenUp: new Map(), withoutToolchain: [], remaining: [] },
    ...{ traffic: [], interrupted: false },
  };
  assert.equal(
    formatEvents(outcome),
    "host alpha has a fault: 4 results were built elsewhere: sh: 1: bison: not found (and 1 other reasons, in .croft.log)\n" +
      "host beta has a fault: 2 results were built elsewhere: its disk is full\n",
  );
});

test("while it builds, a host's fault is told once, too", () => {
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    let said = "";
    using progress = new Progress(matrix, { write: (text: string) => (said += text) });
    const host = (name: string) => ({ name, destination: name, workDirectory: "~" });
    for (const name of ["alpha", "alpha", "beta"]) progress.observer.doubted!(host(name), 0, "no bison");
    progress.observer.setAside!(host("alpha"), "no bison");
    assert.equal(
      said,
      "alpha has a fault, and what fails by it is built elsewhere: no bison\n" +
        "beta has a fault, and what fails by it is built elsewhere: no bison\n" +
        "alpha gets no more work while others can do it\n",
    );
  } finally {
    mock.timers.reset();
  }
});
