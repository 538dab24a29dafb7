import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { buildOptions } from "../../../boss/options.ts";
import { makePlan, readTrustedProject } from "../../../boss/planning/plan.ts";
import { describeNamed } from "../../../boss/planning/trust.ts";
import { withDefaults, type OptionValues } from "../../../os/command-line/options.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { makeSourceHistory } from "../../fixtures/source-history.ts";

const values = (given: OptionValues) => withDefaults(given, buildOptions);
const refused = /^UsageFailure: Cannot use configuration '.*croft\.yaml': nobody has confirmed what it names/;

/** A tree, and a place where it is remembered what was confirmed. */
async function inTree(
  use: (tree: string, write: (text: string) => void, directory: string) => Promise<unknown>,
): Promise<void> {
  await using own = await temporaryDirectory("croft-test-trust-");
  const before = process.env["XDG_STATE_HOME"];
  process.env["XDG_STATE_HOME"] = join(own.path, "state");
  try {
    const tree = join(own.path, "tree");
    makeSourceHistory(tree, { t: {} }, [{}]);
    await use(tree, (text) => writeFileSync(join(tree, "croft.yaml"), text), own.path);
  } finally {
    if (before === undefined) delete process.env["XDG_STATE_HOME"];
    else process.env["XDG_STATE_HOME"] = before;
  }
}

const plan = (source: string, given: OptionValues = {}) => makePlan(values({ source, ...given }), ["t"]);

for (const [what, text] of [
  ["a worker", "worker-command: touch here\n"],
  ["a recipe's commands", "recipe: {build: touch here}\n"],
  ["hosts", "hosts: {alpha: {ssh: somebody@else}}\n"],
  ["a work directory", "work-dir: ~/.ssh\n"],
  ["a compiler", "toolchains: {arm: ./evil-gcc}\n"],
  ["where results go", "output: ~/.ssh\n"],
  ["settings, which may have a recipe", "settings: {recipe: {build: touch here}}\n"],
])
  test(`a tree's configuration that names ${what} is refused until it is confirmed, and then remembered`, () =>
    inTree(async (tree, write) => {
      write(text!);
      await assert.rejects(plan(tree), refused);
      await plan(tree, { "trust-config": true });
      await plan(tree);
      write(`${text}targets: {other: }\n`);
      await plan(tree); // nothing that runs has changed
      write(text!.replace(/[a-z](?=\W*$)/, "x"));
      await assert.rejects(plan(tree), refused);
    }));

test("what names nothing to be run needs no confirmation, nor does a file that the user names", () =>
  inTree(async (tree, write) => {
    write("recipe: linux\ntargets: {t: {arch: x86}}\n");
    await plan(tree);
    write("recipe: {build: touch here}\n");
    await plan(tree, { config: join(tree, "croft.yaml") });
    await plan(tree, { recipe: "make" }); // which takes the place of the other
    await assert.rejects(plan(tree), refused);
  }));

test("the same content in another tree is another configuration, and commands ask for what they go by", () =>
  inTree(async (tree, write, directory) => {
    write("hosts: {alpha: }\n");
    await plan(tree, { "trust-config": true });
    const other = join(directory, "other");
    makeSourceHistory(other, { t: {} }, [{}]);
    writeFileSync(join(other, "croft.yaml"), "hosts: {alpha: }\n");
    await assert.rejects(plan(other), refused);
    const project = (given: OptionValues) =>
      readTrustedProject(values({ source: other, ...given }), ["hosts", "work-dir"]);
    await assert.rejects(project({}), refused);
    await project({ hosts: "beta" });
    writeFileSync(join(other, "croft.yaml"), "recipe: {build: touch here}\n");
    await project({});
  }));

test("what is remembered is the user's alone, and no text of a configuration", () =>
  inTree(async (tree, write, directory) => {
    write("worker-command: secret\n");
    await plan(tree, { "trust-config": true });
    const folder = join(directory, "state", "croft");
    const file = join(folder, "trusted-configurations");
    assert.match(readFileSync(file, "utf8"), /^[0-9a-f]{64}\n$/);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
  }));

test("everything that is named is shown in a line of its own, and nothing of it moves the cursor", () => {
  assert.deepEqual(
    describeNamed({
      hosts: { alpha: null, beta: { ssh: "b@x", "max-builds": 2 } },
      recipe: { build: "true\n\u001b[1Arm -r ~", "config-files": ["a", "b"] },
    }),
    [
      "hosts.alpha",
      "hosts.beta.ssh: b@x",
      "hosts.beta.max-builds: 2",
      "recipe.build: true\\u000a\\u001b[1Arm -r ~",
      "recipe.config-files.0: a",
      "recipe.config-files.1: b",
    ],
  );
});
