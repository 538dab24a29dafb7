import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { fillIn, recipeOf } from "../../../worker/remote/recipes.ts";

const before = `CONFIG_A=y
# CONFIG_B is not set
CONFIG_AB="a"
CONFIG_C=y
`;

test("changes of the configuration replace its lines, and Kconfig settles what depends on them", async () => {
  await using directory = await temporaryDirectory("croft-test-adjust-");
  const source = directory.path;
  mkdirSync(join(source, "out"));
  writeFileSync(join(source, "make"), `#!/bin/sh\necho "$@" >> made\n`, { mode: 0o755 });
  writeFileSync(join(source, "out", ".config"), before);
  const adjust_cfg = ["~A", "CONFIG_B", `D="it's"`];
  const { configure } = recipeOf({ recipe: "u-boot", adjust_cfg, fragments: ["configs/x.config", "a b"] });
  const values = { out: "out", source, target: "board", jobs: 1, arch: "arm", cross: "" };
  const env = { PATH: `${source}:${process.env["PATH"]}` };
  const { status, stderr } = spawnSync("sh", ["-c", fillIn(configure!, values)], {
    cwd: source,
    env,
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  assert.equal(
    readFileSync(join(source, "out", ".config"), "utf8"),
    `CONFIG_AB="a"\nCONFIG_C=y\n# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_D="it's"\n`,
  );
  const made = readFileSync(join(source, "made"), "utf8");
  assert.equal(made, "-s O=out board_defconfig configs/x.config a b\n-s O=out olddefconfig\n");
});

test("what is no change of a configuration is refused", () => {
  for (const change of ["", "a b", "~A=y", "$(x)"])
    assert.throws(() => recipeOf({ adjust_cfg: [change] }), /^Failure: Cannot change the configuration by/);
});
