import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Matrix } from "../../../boss/matrix/matrix.ts";
import { Progress } from "../../../boss/progress.ts";
import { formatEvents, formatSummary } from "../../../boss/results/summary-text.ts";

const matrix = new Matrix([{ name: "t", arch: "sandbox" }], [{ hash: null, subject: "" }]);

test("each host's fault is told once, with the reason that it had most often", () => {
  const doubted = [
    { host: "alpha", reason: "sh: 1: flex: not found", times: 1 },
    { host: "alpha", reason: "sh: 1: bison: not found", times: 3 },
    { host: "beta", reason: "its disk is full", times: 2 },
  ];
  const outcome = {
    ...{ matrix, doubted, absent: [], lost: [], givenUp: new Map(), withoutToolchain: [], remaining: [] },
    ...{ traffic: [], interrupted: false, strained: new Map(), drift: [], changedCompilers: [] },
  };
  assert.equal(
    formatEvents(outcome),
    "host alpha has a fault: 4 results were built elsewhere: sh: 1: bison: not found (and 1 other reasons, in .croft.log)\n" +
      "host beta has a fault: 2 results were built elsewhere: its disk is full\n",
  );
});

test("of many targets each message is told once, and each target only if that is asked for", () => {
  const told = (count: number, message: (at: number) => string) =>
    Array.from({ length: count }, (_, at) => ({ target: `t${at}`, message: message(at) }));
  const commit = (broken: number) => ({
    ...{ counts: { built: 0, warning: 0, failed: 0, missing: 0 }, sizes: [], sizesOf: {}, details: {} },
    broken: told(broken, (at) => (at === 7 ? "b" : "a")),
    fixed: told(21, () => "").map(({ target }) => target),
    newWarnings: told(broken, (at) => `w${at}`),
  });
  const summary = (broken: number) => ({
    ...{ commits: [commit(broken)], flakes: [] },
    totals: { built: 0, warning: 0, failed: broken, missing: 0 },
  });
  const lines = (text: string, mark: string) =>
    text.split("\n").filter((line) => line.startsWith(`    ${mark} `));
  const many = formatSummary(matrix, summary(21));
  assert.deepEqual(lines(many, "+"), ["    + 20 targets: a", "    + t7: b"]);
  assert.deepEqual([lines(many, "-").length, lines(many, "w").length], [20, 20]);
  assert.equal(many.match(/… and 1 more \(--list-targets names all\)/g)?.length, 2);
  const all = formatSummary(matrix, summary(21), { all: true });
  assert.deepEqual(
    ["+", "-", "w"].map((mark) => lines(all, mark).length),
    [21, 21, 21],
  );
  assert.deepEqual(lines(formatSummary(matrix, summary(20)), "+").length, 20);
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

test("sizes of many targets are averages by architecture, each target's if that is asked for", () => {
  const counts = { built: 0, warning: 0, failed: 0, missing: 0 };
  const commit = (count: number) => ({
    ...{ counts, broken: [], fixed: [], newWarnings: [], details: {} },
    sizes: Array.from({ length: count }, (_, at) => ({ target: `t${at}`, changes: ["u-boot: text +2"] })),
    sizesOf: { arm: { targets: count, text: 2 * count, data: -1, bss: 0 } },
  });
  const text = (count: number, options = {}) =>
    formatSummary(matrix, { commits: [commit(count)], flakes: [], totals: counts }, options);
  assert.match(text(20), /^    s t19: u-boot: text \+2$/m);
  assert.match(text(21), /^    s arm: 21 targets, on average text \+2 /m);
  assert.doesNotMatch(text(21), /s t\d/);
  for (const options of [{ detail: true }, { all: true }])
    assert.equal(text(21, options).match(/s t\d+:/g)?.length, 21);
});

test("what several targets' configurations have alike is told once, functions target by target, flakes apart", () => {
  const counts = { built: 2, warning: 0, failed: 0, missing: 0 };
  const alike = { changes: ["u-boot.cfg: + CONFIG_A=1"] };
  const commit = {
    ...{ counts, broken: [], fixed: [], newWarnings: [], sizes: [], sizesOf: {} },
    details: {
      config: [
        { target: "a", ...alike },
        { target: "c", changes: ["u-boot.cfg: + CONFIG_B=1"] },
        { target: "b", ...alike },
      ],
      environment: [{ target: "a", changes: ["bootdelay: 1 -> 2"] }],
      functions: [{ target: "a", changes: ["u-boot: 1 added", "+4 f (new -> 4)"] }],
    },
  };
  const flakes = [{ target: "b", message: "Segmentation fault", from: 0, to: 0 }];
  const text = formatSummary(matrix, { commits: [commit], flakes, totals: counts });
  assert.deepEqual(text.split("\n").slice(1, -2), [
    "    c a, b: u-boot.cfg: + CONFIG_A=1",
    "    c c: u-boot.cfg: + CONFIG_B=1",
    "    e a: bootdelay: 1 -> 2",
    ...["    f a:", "        u-boot: 1 added", "        +4 f (new -> 4)"],
    "Likely flakes: they failed, and later were built by themselves:",
    ...["    ~ b: Segmentation fault", "      failed at , built at "],
  ]);
});
