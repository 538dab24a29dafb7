/** A tree's configuration at a terminal (that of script(1)): what it names is shown, and asked about once. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";
import { makeSourceHistory } from "../../fixtures/source-history.ts";

test("at a terminal, commands of a tree are shown and run only after a yes, which is remembered", async () => {
  await using directory = await temporaryDirectory("croft-test-trust-");
  const source = join(directory.path, "tree");
  const home = join(directory.path, "home");
  mkdirSync(home);
  makeSourceHistory(source, { t: {} }, [{}]);
  const ran = join(directory.path, "ran");
  writeFileSync(join(source, "croft.yaml"), `recipe: {build: echo was here >> ${ran}}\n`);
  const croft = `"${process.execPath}" "${packageFile("bin", "main.ts")}"`;
  const types = async (input: string) => {
    const command = `${croft} boss build t:sandbox; cat ${ran}`;
    const { stdout } = await run(["script", "--quiet", "--return", "--command", command, "/dev/null"], {
      ...{ timeoutSeconds: 300, cwd: source, input, accept: [0, 1] },
      env: { ...process.env, HOME: home, XDG_STATE_HOME: join(home, "state"), SHELL: "/bin/sh" },
    });
    return stdout.replaceAll("\r", "");
  };
  const no = await types("n\n");
  assert.match(no, /^ {2}recipe\.build: echo was here >> .*\nUse it\? \[y\/N\]/m);
  assert.match(no, /Cannot use configuration '.*': it was not confirmed/);
  assert.doesNotMatch(no, /^was here$/m);
  const yes = await types("y\n");
  assert.match(yes, /^1 built: 1 ok, /m);
  assert.match(yes, /^was here$/m);
  const again = await types("");
  assert.doesNotMatch(again, /Use it/);
  assert.match(again, /^1 built: 1 ok, /m);
});
