/** What reads the documents for the other tests here. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { troubleWith } from "./croft-command.ts";
import { takeApart } from "./documents.ts";
import { commandsOf, typedIn } from "./shell.ts";

describe("what looks at the documents", () => {
  test("sees blocks, also indented ones, and words in backquotes that go on in the next line", () => {
    const text = "Use `croft\n  agent` so:\n\n- here\n\n  ```sh\n  croft log 1\n  ```\n\nand `x`.\n";
    assert.deepEqual(takeApart("a.md", text), {
      path: "a.md",
      blocks: [{ place: "a.md:6", language: "sh", text: "croft log 1\n" }],
      spans: [
        { place: "a.md:1", language: "", text: "croft agent" },
        { place: "a.md:10", language: "", text: "x" },
      ],
    });
  });

  test("takes commands out of lists, substitutions, loops, quotes and remarks", () => {
    const script =
      "A=1 croft log 1 && echo 'a; b' | tee \\\n  file   # or: croft builds\nwhile croft log \"$(croft builds)\"; do sleep 5; done";
    assert.deepEqual(
      commandsOf(script).map(({ words }) => words),
      [
        ["croft", "log", "1"],
        ["echo", "a; b"],
        ["tee", "file"],
        ["croft", "log", "$(croft builds)"],
        ["sleep", "5"],
        ["croft", "builds"],
      ],
    );
    assert.equal(commandsOf(script)[2]!.comment, "or: croft builds");
    assert.equal(
      typedIn("$ cat > f <<'END'\n$ text\nEND\nsaid\n$ ls\nf\n"),
      "cat > f <<'END'\n$ text\nEND\nls",
    );
  });

  test("finds commands, options, values and arguments that do not exist", async () => {
    const trouble = (line: string, isPart = false) => troubleWith(commandsOf(line)[0]!.words, { isPart });
    for (const right of ["submit URL --follow", "machine create NAME", "help machine list", "agent …"])
      assert.equal(await trouble(right), undefined, right);
    assert.match((await trouble("submit URL --deepness 1"))!, /unknown option '--deepness'/);
    assert.match((await trouble("boss built"))!, /unknown command 'built'|too many arguments/);
    assert.match((await trouble("bild", true))!, /no command 'bild'/);
    assert.match((await trouble("agent --cpu many URL"))!, /whole number/);
    assert.match((await trouble("machine create"))!, /missing required argument/);
    assert.equal(await trouble("machine create --include", true), undefined);
    assert.match((await trouble("machine list odd", true))!, /too many arguments/);
  });
});
