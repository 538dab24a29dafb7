/** The page of the manual is one that man(1), groff and mandoc have nothing to say against. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { formatRoff } from "../../os/manual/roff.ts";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";

const page = packageFile("docs", "man", "croft-agent.1");
const shown = async (program: string[], path: string) => {
  const env = { ...process.env, LC_ALL: "C.UTF-8", MANWIDTH: "80", MANPAGER: "cat" };
  const { stdout, stderr } = await run([...program, path], { timeoutSeconds: 300, env });
  assert.equal(stderr, "", program.join(" "));
  return stdout;
};

test("the page of the agent is shown by man, and without a warning by groff and mandoc", async () => {
  assert.equal(await shown(["mandoc", "-T", "lint"], page), "");
  for (const program of [
    ["groff", "-ww", "-man", "-T", "utf8"],
    ["mandoc", "-T", "utf8"],
    ["man", "-l"],
  ]) {
    const text = (await shown(program, page)).replace(/\x1b\[[0-9;]*m|.\x08/g, "");
    assert.match(text, /^CROFT-AGENT\(1\) +croft manual +CROFT-AGENT\(1\)$/m);
    assert.match(text, /^NAME\n +croft-agent \S perform build tasks/m);
    const sections = [
      "SYNOPSIS",
      "DESCRIPTION",
      "OPTIONS",
      "CONFIGURATION FILE",
      "SIGNALS",
      "EXIT STATUS",
      "FILES",
    ];
    for (const title of [...sections, "EXAMPLES", "SEE ALSO"])
      assert.match(text, new RegExp(`^${title}$`, "m"));
    assert.match(text, /^ +--build-timeout SECONDS\n/m);
  }
});

test("the page of the boss is shown by man, and without a warning by groff and mandoc", async () => {
  const boss = packageFile("docs", "man", "croft-boss.1");
  assert.equal(await shown(["mandoc", "-T", "lint"], boss), "");
  await shown(["groff", "-ww", "-man", "-T", "utf8"], boss);
  assert.match(await shown(["man", "-l"], boss), /croft-boss \S build a matrix/);
});

test("nothing in the text of a page is taken for markup", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const path = join(directory.path, "croft-odd.1");
  const odd = [
    ".nothing 'that' \\is \\fBmarkup\\fR -- ~^…",
    "'at the beginning",
    `long ${"word ".repeat(30)}.so on`,
  ];
  const terms = odd.map((text) => [text, text] as const);
  const blocks = [...odd, { terms }, { language: "sh" as const, code: ".a\n\n'b \\n -c" }];
  const sections = [{ title: "Odd 'text'", blocks }];
  writeFileSync(
    path,
    formatRoff({ name: "croft-odd", section: 1, summary: "odd", version: "1", sections }, "2026-01-02"),
  );
  for (const program of [
    ["groff", "-ww", "-man", "-T", "utf8"],
    ["mandoc", "-T", "utf8"],
  ]) {
    const text = (await shown(program, path)).replace(/\x1b\[[0-9;]*m|.\x08/g, "").replace(/\s+/g, " ");
    assert.equal(text.split(".nothing 'that' \\is \\fBmarkup\\fR -- ~^...").length, 4, text);
    assert.match(text, / 'at the beginning .* \.so on /);
    assert.match(text, / \.a 'b \\n -c /);
  }
});
