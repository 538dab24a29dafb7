import { randomBytes } from "node:crypto";

/** The end of a name that nobody else has, and nobody guesses: 12 characters of `0-9a-f`. */
export function randomTail(): string {
  return randomBytes(6).toString("hex");
}
