/** Connects a terminal to the console of a machine. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Failure, reasonOf } from "../../os/failure.ts";

/** Ctrl-], as telnet has it. */
const escapeByte = 0x1d;

/**
 * Connects standard input and output to a console, until it ends or Ctrl-] is typed on a terminal. Notes for the
 * person go to standard error. Input that is not a terminal is passed on to its end, and the output then goes on.
 *
 * @throws {Failure} if there is no console at the socket.
 */
export async function attachConsole(machine: string, path: string, notes: readonly string[]): Promise<void> {
  const socket = connect(path);
  try {
    await once(socket, "connect");
  } catch (error) {
    throw new Failure(`attach to machine '${machine}'`, `'${path}': ${reasonOf(error)}`, { cause: error });
  }
  const { stdin, stdout } = process;
  const isTerminal = stdin.isTTY === true;
  const tell = (text: string) => process.stderr.write(`${text}\r\n`);
  tell(`Connected to the console of ${machine}${isTerminal ? "; leave it with Ctrl-]" : ""}.`);
  notes.forEach(tell);
  if (isTerminal) stdin.setRawMode(true);
  try {
    stdin.on("data", (bytes: Buffer) => forward(bytes, socket, isTerminal));
    stdout.on("error", () => socket.destroy()); // whoever read it has gone
    socket.on("data", (bytes: Buffer) => stdout.write(bytes));
    await once(socket, "close");
  } catch (error) {
    if (!socket.destroyed) throw error; // a console that breaks off has ended
  } finally {
    if (isTerminal) stdin.setRawMode(false);
    stdin.pause();
    socket.destroy();
  }
  tell(`\nThe connection to ${machine} has ended.`);
}

function forward(bytes: Buffer, socket: Socket, isTerminal: boolean): void {
  const escape = isTerminal ? bytes.indexOf(escapeByte) : -1;
  if (escape < 0) return void socket.write(bytes);
  socket.write(bytes.subarray(0, escape));
  socket.destroySoon();
}
