import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { answer, shellLoop } from "../../../boss/hosts/scripts.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

test("what is started on a host speaks English, in UTF-8 where that is known, whatever is set there", async () => {
  await using directory = await temporaryDirectory("croft-test-language-");
  const bin = join(directory.path, "bin");
  mkdirSync(bin);
  const german = { LANG: "de_DE.UTF-8", LC_ALL: "de_DE.UTF-8", LC_MESSAGES: "de_DE", LANGUAGE: "de" };
  const script = answer('"$(sh -c \'echo "$LC_ALL/${LANGUAGE-none}"\')"');
  for (const [locales, expected] of [
    ["C\\nC.utf8\\nde_DE.utf8", "C.UTF-8/none"],
    ["C\\nC.UTF-8\\nPOSIX", "C.UTF-8/none"],
    ["C\\nde_DE.utf8\\nes_EC.utf8", "C/none"],
  ]) {
    writeFileSync(join(bin, "locale"), `#!/bin/sh\nprintf '${locales}\\n'\n`, { mode: 0o755 });
    const { stdout, stderr } = spawnSync("sh", ["-c", shellLoop], {
      env: { ...german, PATH: `${bin}:${process.env["PATH"]}` },
      input: `${Buffer.byteLength(script)}\n${script}`,
      encoding: "utf8",
    });
    assert.equal(stdout.trim(), `CROFT> ${expected}`, `${locales}: ${stderr}`);
  }
});
