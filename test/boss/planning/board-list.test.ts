import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBoardList, selectBoards, type BoardSelection } from "../../../boss/planning/board-list.ts";

const list = parseBoardList(`#
# Status, Arch, CPU, SoC, Vendor, Board, Target, Config, Maintainers

Active  aarch64  armv8  rk3399  rockchip  evb_rk3399  evb-rk3399  evb_rk3399  Somebody <a@example.org>
Active  aarch64  armv8  -       armltd    vexpress64  vexpress    vexpress    Somebody <a@example.org>
Active  arm      armv7  mx6     freescale mx6sabre    mx6sabresd  mx6sabre    -
-       sandbox  -      -       -         sandbox     sandbox64   sandbox64
`);

const none: BoardSelection = { terms: [], boards: [], exclude: [] };
const chosen = (selection: Partial<BoardSelection>) =>
  selectBoards(list, { ...none, ...selection }).boards.map(({ target }) => target);

test("boards are chosen by target, architecture, cpu, SoC, vendor, board and configuration", () => {
  for (const [term, names] of [
    ["vexpress", ["vexpress"]],
    ["aarch64", ["evb-rk3399", "vexpress"]],
    ["armv7", ["mx6sabresd"]],
    ["rk3399", ["evb-rk3399"]],
    ["freescale", ["mx6sabresd"]],
    ["mx6sabre", ["mx6sabresd"]],
    ["sandbox", ["sandbox64"]],
  ] as const)
    assert.deepEqual(chosen({ terms: [term] }), names, term);
  assert.deepEqual(chosen({}).length, 4);
});

test("a term is a regular expression that fits from the first character on, as Python writes it", () => {
  assert.deepEqual(chosen({ terms: ["rk"] }), ["evb-rk3399"], "its SoC");
  assert.deepEqual(chosen({ terms: ["abre"] }), []);
  assert.deepEqual(chosen({ terms: [".*press$"] }), ["vexpress"]);
  assert.deepEqual(chosen({ terms: ["(?i)SANDBOX(?P<bits>64)\\Z"] }), ["sandbox64"]);
  assert.throws(() => chosen({ terms: ["("] }), /^UsageFailure: Cannot choose boards by '\(': /);
});

test("terms are alternatives, '&' joins them, and what is excluded is not chosen", () => {
  for (const terms of [["aarch64&rockchip"], ["aarch64 & rockchip"], ["aarch64", "&", "rockchip"]])
    assert.deepEqual(chosen({ terms }), ["evb-rk3399"]);
  assert.deepEqual(chosen({ terms: ["sandbox arm$"] }), ["mx6sabresd", "sandbox64"]);
  assert.deepEqual(
    chosen({ terms: ["arm"], exclude: ["freescale"] }),
    ["evb-rk3399", "vexpress"],
    "by its cpu",
  );
  assert.deepEqual(chosen({ exclude: ["a", "mx6", "sand"] }), []);
  assert.throws(() => chosen({ terms: ["&", "arm"] }), /it begins with '&'/);
  assert.throws(() => chosen({ terms: ["arm&"] }), /it ends with '&'/);
  const { counts } = selectBoards(list, { ...none, terms: ["armv8", "aarch64", "arm$"] });
  assert.deepEqual(
    [...counts],
    [
      ["armv8", 2],
      ["aarch64", 0],
      ["arm$", 1],
    ],
  );
});

test("boards that are named are chosen besides; a name that the tree has not is refused", () => {
  assert.deepEqual(chosen({ terms: ["sandbox"], boards: ["vexpress"] }), ["vexpress", "sandbox64"]);
  assert.deepEqual(chosen({ boards: ["vexpress"], exclude: ["armltd"] }), []);
  assert.throws(() => chosen({ boards: ["rk3399"] }), /build board 'rk3399': the tree has none of that name/);
});
