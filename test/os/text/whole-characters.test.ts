import assert from "node:assert/strict";
import { test } from "node:test";
import { BoundedOutput } from "../../../worker/remote/output.ts";
import { LineSplitter } from "../../../os/text/lines.ts";
import { fromWholeCharacter, toWholeCharacter } from "../../../os/text/whole-characters.ts";

test("text that is cut anywhere loses what is left of a character, and nothing else", () => {
  const text = "aé€😀b";
  const bytes = Buffer.from(text);
  const characters = [...text];
  for (let at = 0; at <= bytes.length; at++) {
    const before = Buffer.from(toWholeCharacter(bytes.subarray(0, at))).toString();
    const after = Buffer.from(fromWholeCharacter(bytes.subarray(at))).toString();
    assert.ok(text.startsWith(before) && text.endsWith(after), `${at}: ${before}, ${after}`);
    assert.ok([...before].length + [...after].length >= characters.length - 1, `${at}: ${before}, ${after}`);
  }
});

test("bytes that are no UTF-8 stay", () => {
  const bytes = Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80]);
  assert.equal(fromWholeCharacter(bytes).length, 5);
  assert.equal(toWholeCharacter(bytes).length, 5);
});

test("a line of which only the beginning is kept ends with a whole character, and tells how much is missing", () => {
  const splitter = new LineSplitter(5);
  const lines = [...splitter.push(Buffer.from("€€€\n€\n"))];
  assert.deepEqual(lines, [
    { text: "€", missing: 6 },
    { text: "€", missing: 0 },
  ]);
});

test("a long output of a build in one line is cut between characters", () => {
  const output = new BoundedOutput(20);
  output.push(Buffer.from("€".repeat(20)));
  assert.equal(
    output.text(),
    `${"€".repeat(3)}\n[... 42 bytes left out: more than 20 are not kept ...]\n${"€".repeat(3)}`,
  );
});
