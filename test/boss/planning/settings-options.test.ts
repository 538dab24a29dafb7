import assert from "node:assert/strict";
import { test } from "node:test";
import { settingOptions, settingsOf } from "../../../boss/planning/settings-options.ts";
import { parseCommand } from "../../../worker/protocol.ts";

test("each option is a setting that workers know, and is sent only if it is given", () => {
  assert.deepEqual(settingsOf({}), {});
  const given = Object.fromEntries(
    settingOptions.map(({ name, kind }) => [name, kind === "flag" ? true : ["a,b", "c"]]),
  );
  const settings = settingsOf(given);
  assert.deepEqual(settings, {
    mrproper: true,
    fallback_mrproper: true,
    force_reconfig: true,
    config_only: true,
    no_lto: true,
    reproducible_builds: true,
    warnings_as_errors: true,
    allow_missing: true,
    verbose_build: true,
    fragments: ["a", "b", "c"],
    adjust_cfg: ["a", "b", "c"],
  });
  const parse = (changed: object) =>
    parseCommand(JSON.stringify({ cmd: "configure", settings: { ...settings, ...changed }, toolchains: {} }))
      .kind;
  assert.equal(parse({}), "message");
  for (const name of Object.keys(settings)) assert.equal(parse({ [name]: 7 }), "invalid", name);
});

test("changes and fragments of the configuration are checked", () => {
  const wrong = (name: string, text: string) =>
    settingOptions.find((each) => each.name === name)!.check!(text);
  assert.equal(wrong("adjust-cfg", "A,~CONFIG_B,C=0x5"), undefined);
  for (const text of ["", "A,", "-A", "~A=y", "A B"])
    assert.match(wrong("adjust-cfg", text) ?? "", /^expected NAME/);
  assert.equal(wrong("fragments", "configs/a.config,b"), undefined);
  assert.match(wrong("fragments", "a b") ?? "", /^expected files/);
});
