import assert from "node:assert/strict";
import { once } from "node:events";
import { statSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { ConsoleServer } from "../../../machines/qemu/console-server.ts";

/** A console whose guest is two streams. */
async function startConsole(past: string) {
  const directory = await temporaryDirectory("croft-test-");
  const [output, input] = [new PassThrough(), new PassThrough()];
  const file = join(directory.path, "console.log");
  writeFileSync(file, past);
  const socket = join(directory.path, "console.sock");
  const console = await ConsoleServer.start(socket, output, input, file);
  const terminals: Socket[] = [];
  return {
    ...{ output, input, socket },
    connect: () => {
      const terminal = connect(socket);
      terminals.push(terminal);
      return terminal;
    },
    end: () => console[Symbol.dispose](),
    [Symbol.asyncDispose]: () => {
      for (const terminal of terminals) terminal.destroy();
      console[Symbol.dispose]();
      return directory[Symbol.asyncDispose]();
    },
  };
}

async function untilSaid(terminal: Socket, wanted: string): Promise<string> {
  let text = "";
  while (!text.includes(wanted)) text += String(((await once(terminal, "data")) as [Buffer])[0]);
  return text;
}

test("a terminal gets the end of the past and then what comes, and only its user may connect", async () => {
  await using guest = await startConsole(`${"x".repeat(10_000)}the past\n`);
  assert.equal(statSync(guest.socket).mode & 0o777, 0o600);
  const terminal = guest.connect();
  assert.equal((await untilSaid(terminal, "the past\n")).length, 4096);
  guest.output.write("the present\n");
  assert.equal(await untilSaid(terminal, "present\n"), "the present\n");
  terminal.write("typed");
  assert.equal(String((await once(guest.input, "data"))[0]), "typed");
});

test("a terminal that does not read is dropped, and the others go on", async () => {
  await using guest = await startConsole("");
  const lazy = guest.connect();
  const diligent = guest.connect();
  let bytes = 0;
  diligent.on("data", (chunk: Buffer) => (bytes += chunk.length));
  lazy.pause();
  // Both are known once what they type arrives.
  lazy.write("a");
  await once(guest.input, "data");
  diligent.write("b");
  await once(guest.input, "data");
  const wanted = 8 * 1024 * 1024;
  while (bytes < wanted) {
    guest.output.write(Buffer.alloc(64 * 1024));
    await once(diligent, "data");
  }
  const closed = once(lazy, "close");
  lazy.resume();
  await closed;
  assert.equal(diligent.destroyed, false);
});

test("the end of a machine is the end of its terminals", async () => {
  await using guest = await startConsole("");
  const terminal = guest.connect().resume();
  await once(terminal, "connect");
  terminal.write("a");
  await once(guest.input, "data");
  const ended = once(terminal, "close");
  guest.end();
  await ended;
});
