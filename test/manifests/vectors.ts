/** The conformance vectors, as the reference implementation answers. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface ParseVector {
  name: string;
  input?: string;
  inputBase64?: string;
  ok: boolean;
  pairs?: [string, string][];
  line?: number;
  column?: number;
  error?: string;
}

export interface SerializeVector {
  name: string;
  pairs?: [string, string][];
  pairsBase64?: [string, string][];
  longLines: boolean;
  comments?: boolean;
  text?: string;
  error?: string;
}

export interface CommentVector {
  name: string;
  value: string;
  split?: [string, string];
  comment?: string;
  merged?: string;
}

/** The input of a parse vector as bytes. */
export function inputOf(vector: ParseVector): Buffer {
  return vector.inputBase64 === undefined
    ? Buffer.from(vector.input ?? "", "utf8")
    : Buffer.from(vector.inputBase64, "base64");
}

function load<T>(name: string): T {
  return JSON.parse(readFileSync(join(import.meta.dirname, "vectors", name), "utf8")) as T;
}

export const parseVectors = load<ParseVector[]>("manifest-parse.json");
export const serializeVectors = load<SerializeVector[]>("manifest-serialize.json");
export const commentVectors = load<CommentVector[]>("manifest-comment.json");
