import assert from "node:assert/strict";
import { test } from "node:test";
import { printable } from "../../../os/text/terminal-text.ts";
import { visible } from "../../../os/text/visible.ts";

test("what turns the direction of text is seen in a name, and is none of a terminal's lines", () => {
  for (const code of [0x61c, 0x200e, 0x200f, 0x202a, 0x202e, 0x2066, 0x2069]) {
    const text = `a${String.fromCharCode(code)}b`;
    assert.equal(printable(text), "a?b", code.toString(16));
    assert.equal(visible(text), `a\\u${code.toString(16).padStart(4, "0")}b`);
  }
  assert.equal(printable("grün"), "grün");
});
