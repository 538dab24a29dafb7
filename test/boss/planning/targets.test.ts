import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBoardList } from "../../../boss/planning/board-list.ts";
import type { BossFile } from "../../../boss/planning/boss-file.ts";
import { selectTargets, type TargetSelection } from "../../../boss/planning/targets.ts";

const list = parseBoardList(`
Active  aarch64  armv8  -  -  one    one
Active  riscv64  -      -  -  two    two
Active  aarch64  -      -  -  three  arm64:defconfig
`);

const select = async (selection: Partial<TargetSelection>, file: BossFile = {}, boards = () => list) => {
  let asked = 0;
  const whole = { names: [], boards: [], exclude: [], ...selection };
  const { targets, notes } = await selectTargets(whole, file, () => {
    asked++;
    return Promise.resolve(boards());
  });
  return { targets: targets.map(({ name, arch }) => `${name} ${arch}`), notes, asked };
};

test("a target's architecture is what the tree says, never the host's without a word", async () => {
  const { targets, notes } = await select({ names: ["one", "two"] });
  assert.deepEqual([targets, notes], [["one aarch64", "two riscv64"], []]);
  const file = { targets: { one: null, own: null } };
  const configured = await select({}, file);
  assert.deepEqual(configured.targets, ["one aarch64", "own sandbox"]);
  assert.match(configured.notes.join(), /^The architecture of 'own' is not known/);
});

test("the tree is asked for its boards only if a name does not say all", async () => {
  assert.equal((await select({ names: ["one:arm"] })).asked, 0);
  assert.equal((await select({}, { targets: { sandbox: null, one: { arch: "arm" } } })).asked, 0);
  assert.equal((await select({ names: ["one:arm", "two"] })).asked, 1);
});

test("a board with a colon in its name is a board; what is named with an architecture needs no list", async () => {
  assert.deepEqual((await select({ names: ["arm64:defconfig", "new:arm"] })).targets, [
    "new arm",
    "arm64:defconfig aarch64",
  ]);
});

test("what is excluded is taken from what is configured, too, and from all boards where nothing is named", async () => {
  const file = { targets: { one: null, own: { arch: "arm" } } };
  assert.deepEqual((await select({ exclude: ["armv8"] }, file)).targets, ["own arm"]);
  assert.deepEqual((await select({ exclude: ["one"] })).targets, ["two riscv64", "arm64:defconfig aarch64"]);
});

test("a term that chooses nothing is told; if none does, the run is refused", async () => {
  assert.deepEqual((await select({ names: ["one", "on"] })).notes, ["Nothing (more) is chosen by 'on'."]);
  await assert.rejects(
    select({ names: ["x"] }),
    /^UsageFailure: Cannot build: nothing that the tree has is chosen$/,
  );
});

test("a tree without a list of boards has targets by their names", async () => {
  const without = (selection: Partial<TargetSelection>) => {
    const whole = { names: [], boards: [], exclude: [], ...selection };
    return selectTargets(whole, {}, () => Promise.resolve(undefined));
  };
  const { targets, notes } = await without({ names: ["a", "b"], boards: ["c"], exclude: ["b"] });
  assert.deepEqual(
    targets.map(({ name }) => name),
    ["a", "c"],
  );
  assert.match(notes.join(), /^The architecture of /);
  await assert.rejects(without({ exclude: ["b"] }), /there are no targets/);
});
