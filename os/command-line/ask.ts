import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { Failure } from "../failure.ts";

const interruptedStatus = 130;

/**
 * Asks somebody at a terminal; undefined if there is none. An end of the input is a no.
 *
 * @param signal of Ctrl-C, where it does not end the process.
 * @throws {Failure} if it is aborted.
 */
export async function askYesOrNo(question: string, signal?: AbortSignal): Promise<boolean | undefined> {
  const { stdin, stderr } = process;
  if (stdin.isTTY !== true || stderr.isTTY !== true) return undefined;
  stderr.write(`${question} [y/N] `);
  const lines = createInterface({ input: stdin, terminal: false }); // the terminal itself does the editing
  const answered = Promise.withResolvers<string>();
  lines.once("line", answered.resolve).once("close", () => answered.resolve(""));
  const onAbort = () =>
    answered.reject(new Failure("go on", "interrupted", { exitStatus: interruptedStatus }));
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return /^y(?:es)?$/i.test((await answered.promise).trim());
  } finally {
    signal?.removeEventListener("abort", onAbort);
    lines.close();
  }
}

/**
 * Asks for what nobody is to see; without a terminal it is the first line of standard input. Empty if there is none.
 *
 * @throws {Failure} for Ctrl-C.
 */
export async function askSecret(question: string): Promise<string> {
  const { stdin, stderr } = process;
  const isTerminal = stdin.isTTY === true;
  if (isTerminal) stderr.write(question);
  // What is typed goes nowhere.
  const nowhere = new Writable({ write: (_piece, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: nowhere, terminal: isTerminal });
  const answered = Promise.withResolvers<string>();
  const stop = () => answered.reject(new Failure("go on", "interrupted", { exitStatus: interruptedStatus }));
  lines
    .once("line", answered.resolve)
    .once("SIGINT", stop)
    .once("close", () => answered.resolve(""));
  try {
    return (await answered.promise).trim();
  } finally {
    lines.close();
    if (isTerminal) stderr.write("\n");
  }
}
