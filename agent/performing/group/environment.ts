/** What an auxiliary machine tells the build: lines `NAME=VALUE`, whose names get the name of the machine before them. */
import { Failure } from "../../../os/failure.ts";

/** Most lines of a machine, and of the file's bytes. */
const linesMaximum = 200;
export const environmentMaxBytes = 64 * 1024;

/**
 * Reads what an auxiliary machine has sent.
 *
 * @param name what the task calls the machine; empty: names stay as they are.
 * @returns lines `NAME=VALUE`
 * @throws {Failure} that says which line is none.
 */
export function readEnvironment(name: string, bytes: Uint8Array): string[] {
  const lines = textOf(bytes)
    .split("\n")
    .map((line) => line.replace(/\r$/, ""));
  const variables = lines.flatMap((line, index) => {
    if (line === "") return [];
    if (/^[A-Za-z_][A-Za-z0-9_]*=\P{Cc}*$/u.test(line)) return [prefixOf(name) + line];
    throw unreadable(`line ${index + 1} is no NAME=VALUE`);
  });
  if (variables.length > linesMaximum) throw unreadable(`it has more than ${linesMaximum} variables`);
  return variables;
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw unreadable("it is no UTF-8 text");
  }
}

function unreadable(reason: string): Failure {
  return new Failure("read its environment", reason);
}

/** `my-sql.8` becomes `MY_SQL_8_`; a name that begins with a digit gets a `_` before it. */
export function prefixOf(name: string): string {
  if (name === "") return "";
  const plain = name.toUpperCase().replaceAll(/[^A-Z0-9_]/g, "_");
  return `${/^\d/.test(plain) ? "_" : ""}${plain}_`;
}
