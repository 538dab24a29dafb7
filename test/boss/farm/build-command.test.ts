import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { buildArguments } from "../../../boss/farm/build-command.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { recipeOf } from "../../../worker/remote/recipes.ts";

test("on a machine, too, U-Boot without some blobs is built, and whatever else ends make is a failure", async () => {
  await using place = await temporaryDirectory("croft-test-");
  const at = (name: string) => join(place.path, name);
  mkdirSync(at("bin"));
  const how = { recipe: recipeOf({}), settings: {}, toolchains: {} };
  const command = buildArguments({ name: "a", arch: "sandbox" }, how).replace(/^croft-run/, "sh -c");
  const endOf = (said: string, status: number) => {
    const make = `#!/bin/sh\ncase $* in *defconfig) ;; *) echo '${said}' >&2; exit ${status} ;; esac\n`;
    writeFileSync(at("bin/make"), make, { mode: 0o755 });
    const env = { PATH: `${at("bin")}:${process.env["PATH"]}`, CROFT_UPLOAD: at("upload") };
    const { status: ended } = spawnSync("sh", ["-c", command], { cwd: place.path, env });
    const done = readFileSync(at("upload/artifact/croft-result-done"), "utf8");
    assert.equal(ended === 0, done === "0\n", "it is a failure to the controller, too");
    return done;
  };
  assert.equal(endOf("Some images are invalid", 2), "0\n");
  assert.match(readFileSync(at("upload/artifact/croft-result-err"), "utf8"), /images are invalid/);
  assert.equal(endOf("error", 2), "2\n");
  assert.equal(endOf("Some images are invalid", 1), "2\n");
});
