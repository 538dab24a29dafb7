/** A reading goes from thread to thread in pieces, none of which takes long to be taken over. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { piecesOf, ReadingParts } from "../../../agent/results/reading-pieces.ts";
import type { Reading } from "../../../agent/results/result-file.ts";

const Mi = 1024 * 1024;

/** What comes out of it again; asserts that each piece is small. */
function throughPieces(reading: Reading): { again: Reading | undefined; count: number } {
  const parts = new ReadingParts();
  let again: Reading | undefined;
  let count = 0;
  for (const piece of piecesOf(reading)) {
    assert.equal(again, undefined, "the reading comes last");
    count++;
    if ("parts" in piece) {
      assert.ok(piece.parts.length <= 1000);
      assert.ok(piece.parts.reduce((sum, { text }) => sum + text.length, 0) <= Mi);
    } else if ("result" in piece.reading) assert.deepEqual(piece.reading.result.operations, []);
    again = parts.add(structuredClone(piece));
  }
  return { again, count };
}

const operation = (name: string, log: string) => ({ name, status: "success" as const, log });

const resultWith = (operations: ReturnType<typeof operation>[]): Reading => ({
  result: { name: "n", version: "1", status: "success", operations, workerChecksum: "c" },
});

test("what was read is the same after its way in pieces: long logs, many, empty and none", () => {
  const long = "äbc\n".repeat(Mi);
  const emoji = `x${"\u{1f600}".repeat(Mi)}`; // a pair of surrogates lies across each cut
  for (const [operations, pieces] of [
    [[], 1],
    [[operation("a", "")], 2],
    [[operation("a", "x".repeat(Mi)), operation("b", "")], 3],
    [[operation("a", "1\n"), operation("b", long), operation("c", ""), operation("d", emoji)], 8],
    [Array.from({ length: 9000 }, (_, number) => operation(`o-${number}`, "x".repeat(number % 300))), 10],
  ] as const) {
    const reading = resultWith([...operations]);
    const { again, count } = throughPieces(reading);
    assert.deepEqual(again, reading);
    assert.equal(count, pieces);
  }
});

test("what is broken, or a fault, comes as it is", () => {
  for (const reading of [{ broken: "it is" }, { fault: { reason: "no room", code: "ENOSPC" } }] as const)
    assert.deepEqual(throughPieces(reading), { again: reading, count: 1 });
});
