import { present } from "./fields.ts";
import type { ParseOptions } from "./parse-options.ts";
import { readResult, resultEntries, type Result } from "./result.ts";
import { Sections, formatSections, formatSectionsInPieces, type Entry } from "./sections.ts";
import { ManifestReader } from "./text/reader.ts";
import { matching, token, word } from "./values.ts";

/** A result on its way to the controller. */
export interface ResultRequest {
  /** As received. */
  session: string;
  /** The signature of the challenge, base64. */
  challenge?: string;
  /** The agent's logic version. */
  agentChecksum?: string;
  result: Result;
}

/** Other agents break the lines of it. */
const base64 = matching(/^[A-Za-z0-9+/\s]+={0,2}\s*$/, "base64");

/** @throws {ManifestError} */
export function parseResultRequest(bytes: Uint8Array, options: ParseOptions = {}): ResultRequest {
  const sections = new Sections(bytes, options);
  const header = sections.take("result request manifest", (fields) => ({
    session: fields.required("session", word),
    challenge: fields.optional("challenge", base64),
    agentChecksum: fields.optional("agent-checksum", token),
  }));
  const result = sections.take("result manifest", readResult);
  sections.end();
  return present<ResultRequest>({ ...header, result });
}

/** Who sends a result: a part of the header of the request. */
export type ResultSender = Pick<ResultRequest, "session" | "challenge">;

/**
 * Reads who sends a result from the beginning of the request, which may be cut off anywhere.
 *
 * @param whole the bytes are all of it.
 * @returns undefined if the header goes on after these bytes, or has no session.
 * @throws {ManifestError} if there is an error in the header.
 */
export function readResultSender(bytes: Uint8Array, whole: boolean): ResultSender | undefined {
  const sender: { session?: string; challenge?: string } = {};
  let over = false;
  const reader = new ManifestReader(({ name, value }) => {
    over ||= name === "" && value === "";
    if (!over && (name === "session" || name === "challenge")) sender[name] ??= value;
  });
  try {
    reader.push(bytes);
    if (whole) reader.end();
  } catch (error) {
    if (!over) throw error;
  }
  const { session, challenge } = sender;
  if (!over || session === undefined) return undefined;
  return present<ResultSender>({ session, challenge });
}

/**
 * Writes a result request, with long lines: breaking them would make a log that just fits the controller's size
 * limit too large.
 *
 * @throws {ManifestWriteError}
 */
export function formatResultRequest(request: ResultRequest): Uint8Array {
  return formatSections(sectionsOf(request), { longLines: true });
}

/** The same, in pieces: a large result takes seconds, in which its writer could do nothing else. */
export function formatResultRequestInPieces(request: ResultRequest): Generator<Uint8Array> {
  return formatSectionsInPieces(sectionsOf(request));
}

function sectionsOf(request: ResultRequest): Entry[][] {
  return [
    [
      ["session", request.session],
      ["challenge", request.challenge],
      ["agent-checksum", request.agentChecksum],
    ],
    resultEntries(request.result),
  ];
}
