/**
 * A reading on its way from the thread that has read it. Taken over as a whole, a large one would hold the event loop for a
 * second: so it comes in pieces, each asked for when the one before has been put in its place.
 */
import type { Result } from "../../manifests/result.ts";
import type { Reading } from "./result-file.ts";

/** Characters of a piece, and operations in it: each takes a few milliseconds. */
const pieceChars = 1024 * 1024;
const pieceOperations = 1000;

/** A part of a log; with the first one of an operation, what else it is. */
interface LogPart {
  operation?: Omit<Result["operations"][number], "log">;
  text: string;
}

/** Parts of logs, in order; in the end the reading, whose result has no operations of its own. */
export type ReadingPiece = { parts: LogPart[] } | { reading: Reading };

/** Cuts up what has been read. */
export function* piecesOf(reading: Reading): Generator<ReadingPiece> {
  if (!("result" in reading)) return yield { reading };
  let parts: LogPart[] = [];
  let room = pieceChars;
  for (const { log, ...operation } of reading.result.operations) {
    let at = 0;
    do {
      const text = log.slice(at, at + room);
      parts.push(at === 0 ? { operation, text } : { text });
      at += text.length;
      room -= text.length;
      if (room > 0 && parts.length < pieceOperations) continue;
      yield { parts };
      [parts, room] = [[], pieceChars];
    } while (at < log.length);
  }
  if (parts.length > 0) yield { parts };
  yield { reading: { result: { ...reading.result, operations: [] } } };
}

/** Puts pieces together again, each when it is there. */
export class ReadingParts {
  readonly #operations: Result["operations"] = [];

  /** @returns the reading, with the last piece. */
  add(piece: ReadingPiece): Reading | undefined {
    if ("reading" in piece) {
      const { reading } = piece;
      return "result" in reading ? { result: { ...reading.result, operations: this.#operations } } : reading;
    }
    for (const { operation, text } of piece.parts)
      if (operation) this.#operations.push({ ...operation, log: text });
      else this.#operations.at(-1)!.log += text;
    return undefined;
  }
}
