/** Who may ask a machine's TFTP server: nobody but the machine's own process. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { addressesWhere, anyone, OwnProcess, type Requesters } from "../../../agent/tftp/requesters.ts";
import { silentLog } from "../../../os/log.ts";
import { Client, get, put, RRQ } from "./client.ts";
import { startServer } from "./server.ts";

/** Another process, until disposed of. */
function otherProcess(): AsyncDisposable & { pid: number } {
  const child: ChildProcess = spawn("sleep", ["600"]);
  return {
    pid: child.pid!,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

function belongingTo(pid: number): OwnProcess {
  const own = new OwnProcess(silentLog());
  own.is({ pid, user: undefined });
  return own;
}

test("the process reads and writes", async () => {
  using own = belongingTo(process.pid);
  await using server = await startServer({ requesters: own });
  await writeFile(join(server.readable, "task.manifest"), "task");
  assert.equal((await get(server.port, "task.manifest")).toString(), "task");
  await put(server.port, "result.manifest", Buffer.from("mine"));
  assert.deepEqual(await server.written(), ["result.manifest"]);
});

test("another process neither reads nor writes, and its requests are no sign of life", async () => {
  await using other = otherProcess();
  using own = belongingTo(other.pid);
  await using server = await startServer({ requesters: own });
  await writeFile(join(server.readable, "task.manifest"), "task");
  const refused = { message: "Only this server's machine is served", code: 2 };
  await assert.rejects(get(server.port, "task.manifest"), refused);
  await assert.rejects(put(server.port, "result.manifest", Buffer.from("forged")), refused);
  await assert.rejects(put(server.port, "bootstrap.manifest", Buffer.from("forged")), refused);
  assert.deepEqual(await server.written(), []);
  assert.deepEqual(
    server.events.map(([kind]) => kind),
    ["refused", "refused", "refused"],
  );
});

test("a process of a user of its own is known by its user, and shares it with nobody", async () => {
  await using client = await Client.open();
  for (const [user, verdict] of [
    [process.getuid!(), "own"],
    [process.getuid!() + 70_001, "foreign"],
  ] as const) {
    using own = new OwnProcess(silentLog());
    own.is({ pid: process.pid, user });
    assert.equal(await own.judge(client.socket.address()), verdict);
  }
});

test("a process that is gone, or whose number is not one's to look into, has no requests", async () => {
  const other = otherProcess();
  await other[Symbol.asyncDispose]();
  using own = belongingTo(other.pid);
  await using client = await Client.open();
  assert.equal(await own.judge(client.socket.address()), "unknown");
});

test("a source that no socket of this host has is unknown", async () => {
  using own = belongingTo(process.pid);
  const client = await Client.open();
  const gone = client.socket.address();
  await client[Symbol.asyncDispose]();
  assert.equal(await own.judge(gone), "unknown");
});

test("requests wait until the process is known; without one they get no answer", async () => {
  using own = new OwnProcess(silentLog());
  await using client = await Client.open();
  const early = own.judge(client.socket.address());
  own.is({ pid: process.pid, user: undefined });
  assert.equal(await early, "own");
  const never = new OwnProcess(silentLog());
  const asked = never.judge(client.socket.address());
  never[Symbol.dispose]();
  assert.deepEqual([await asked, await never.judge(client.socket.address())], ["unknown", "unknown"]);
});

test("once the process has ended nobody may ask", async () => {
  const own = belongingTo(process.pid);
  await using client = await Client.open();
  assert.equal(await own.judge(client.socket.address()), "own");
  own[Symbol.dispose]();
  assert.equal(await own.judge(client.socket.address()), "unknown");
});

test("a request that is repeated while its sender is looked up is looked up once", async () => {
  let asked = 0;
  const verdict = Promise.withResolvers<"own">();
  const slow: Requesters = { judge: () => (asked++, verdict.promise) };
  await using server = await startServer({ requesters: slow });
  await writeFile(join(server.readable, "task.manifest"), "task");
  await using client = await Client.open();
  for (let times = 0; times < 3; times++) client.request(RRQ, server.port, "task.manifest");
  await using second = await Client.open();
  second.send(Buffer.from([0, 9]), server.port); // answered at once: by then the others have come
  await second.next();
  verdict.resolve("own");
  assert.equal((await client.next()).data.toString(), "task");
  assert.equal(asked, 1);
});

test("a flood of others' requests keeps the machine from nothing, and is told to the log a few times", async () => {
  await using other = otherProcess();
  const foreign = belongingTo(other.pid);
  const mine = belongingTo(process.pid);
  await using client = await Client.open();
  const isMine = (port: number) => port === client.socket.address().port;
  const warnings: unknown[] = [];
  const log = Object.assign(Object.create(silentLog()) as ReturnType<typeof silentLog>, {
    warn: (...said: unknown[]) => warnings.push(said),
  });
  await using server = await startServer({
    log,
    requesters: { judge: (peer) => (isMine(peer.port) ? mine : foreign).judge(peer) },
  });
  using _mine = mine;
  using _foreign = foreign;
  await writeFile(join(server.readable, "task.manifest"), "task");
  const flood = await Promise.all(Array.from({ length: 100 }, () => Client.open()));
  for (const one of flood) one.request(RRQ, server.port, "task.manifest");
  client.request(RRQ, server.port, "task.manifest");
  assert.equal((await client.next()).data.toString(), "task");
  for (const one of flood) {
    assert.equal((await one.next()).data.toString(), "Only this server's machine is served\0");
    await one[Symbol.asyncDispose]();
  }
  assert.equal(warnings.length, 11);
});

test("a server whose clients are of no consequence serves anyone", async () => {
  assert.equal(await anyone.judge({ address: "127.0.0.1", port: 1 }), "own");
});

test("on a bridge the host's own users are refused: they send from an address that no guest may have", async () => {
  await using server = await startServer({
    requesters: addressesWhere((address) => address !== "127.0.0.1"),
  });
  await assert.rejects(put(server.port, "result.manifest", Buffer.from("forged")), { code: 2 });
  assert.deepEqual(await server.written(), []);
});
