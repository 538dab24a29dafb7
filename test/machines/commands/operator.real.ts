/** An operator and a machine: the console, the screen by VNC, and the commands to look at it, resume and end it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { connect, createServer, type AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { packageFile } from "../../../os/files/package.ts";
import { run } from "../../../os/run.ts";
import {
  makeRuntimeDirectory,
  removeSuspension,
  writeSuspension,
} from "../../../machines/runtime-directory.ts";
import { VncClient } from "../../fixtures/vnc.ts";
import { startGuest, type Guest } from "../qemu/qemu-guest.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";

const shellOnConsole = `
  echo ready > $log
  while read -r line; do echo "heard: $line"; echo "heard: $line" > $log; done
`;
const main = packageFile("bin", "main.ts");

/** Runs `croft machine VERB NAME` for the guest's host. */
async function operate(guest: Guest, ...args: string[]) {
  const argv = [process.execPath, main, "machine", ...args, "--runtime", dirname(guest.runtimeDirectory)];
  return run(argv, { timeoutSeconds: 300, accept: [1, 2] });
}

/** Says, as an agent does, that the guest is held for the operator. */
async function hold(guest: Guest): Promise<void> {
  await writeSuspension(guest.runtimeDirectory, {
    ...{ machine: "m", toolchain: "default", instance: 1, pid: process.pid },
    ...{ reason: "a test", since: new Date().toISOString() },
  });
}

const named = { name: "m-default-1", runtimeName: "default-1" };

test("a terminal sees what was on the console, what comes, and types on it; also several at once", async () => {
  await using guest = await startGuest(shellOnConsole, named);
  await guest.untilLogged("ready");
  const argv = [main, "machine", "console", "m", "--runtime", dirname(guest.runtimeDirectory)];
  const terminals = [1, 2].map(() => spawn(process.execPath, argv, { stdio: ["pipe", "pipe", "pipe"] }));
  const seen = terminals.map(() => "");
  terminals.forEach((terminal, index) =>
    terminal.stdout!.on("data", (bytes: Buffer) => (seen[index] += bytes.toString())),
  );
  const ends = terminals.map((terminal) => once(terminal, "close"));
  for (const terminal of terminals) {
    const [greeting] = (await once(terminal.stderr!, "data")) as [Buffer];
    assert.match(greeting.toString(), /^Connected to the console of m\./);
  }
  terminals[0]!.stdin!.write("hello\n");
  await guest.untilLogged("heard: hello");
  terminals[1]!.stdin!.write("too\n");
  await guest.untilLogged("heard: too");
  await guest.machine.forceDown();
  for (const [status] of await Promise.all(ends)) assert.equal(status, 0);
  for (const text of seen) assert.match(text, /heard: hello[^]*heard: too/);
});

test("Ctrl-] leaves the console, and the machine goes on", async () => {
  await using guest = await startGuest(shellOnConsole, named);
  await guest.untilLogged("ready");
  const command = `exec ${process.execPath} ${main} machine console default-1 --runtime ${dirname(guest.runtimeDirectory)}`;
  // A terminal of its own: that is what script(1) makes.
  const terminal = spawn("script", ["-q", "-e", "-c", command, "/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  let text = "";
  terminal.stdout!.on("data", (bytes: Buffer) => (text += bytes.toString()));
  const closed = once(terminal, "close");
  while (!text.includes("leave it with Ctrl-]")) await once(terminal.stdout!, "data");
  terminal.stdin!.write("typed\r");
  await guest.untilLogged("heard: typed");
  terminal.stdin!.write("\x1d");
  assert.deepEqual(await closed, [0, null]);
  assert.match(text, /The connection to m has ended/);
  assert.equal(await guest.machine.wait(0), undefined);
});

test("the screen of a machine is nowhere to be had until it is suspended, then on a socket of its user's", async () => {
  await using guest = await startGuest(
    `setsid -c sh -c 'read -r line; echo "heard: $line" > '$log < /dev/hvc0 > /dev/hvc0 2>&1 &
     echo ready > $log; sleep 1000`,
    named,
  );
  await guest.untilLogged("ready");
  const socket = join(guest.runtimeDirectory, "vnc.sock");
  assert.equal(existsSync(socket), false);
  await guest.machine.suspend();
  assert.match(guest.machine.describe(), new RegExp(`^VNC: ${socket}$`, "m"));
  assert.equal(statSync(guest.runtimeDirectory).mode & 0o777, 0o700);
  using vnc = await VncClient.connect(connect(socket));
  assert.equal(vnc.version, "RFB 003.008\n");
  assert.deepEqual([vnc.width, vnc.height], [640, 384]);
  await guest.machine.resume();
  vnc.type("over VNC\n");
  await guest.untilLogged("heard: over VNC");
  await guest.machine[Symbol.asyncDispose]();
  assert.deepEqual(await readdir(guest.runtimeDirectory), ["console.log"]);
});

test("a public screen takes its password and no other, and becomes private when the machine is suspended", async () => {
  const display = (await freePort(5900, 9000)) - 5900;
  await using guest = await startGuest(
    `setsid -c sh -c 'read -r line; echo "heard: $line" > '$log < /dev/hvc0 > /dev/hvc0 2>&1 &
     echo ready > $log; sleep 1000`,
    { ...named, publicScreen: { display, password: "s3cret-8" } },
  );
  await guest.untilLogged("ready");
  const port = 5900 + display;
  await assert.rejects(VncClient.connect(connect(port, "127.0.0.1"), "wrong"), /refused/);
  await assert.rejects(VncClient.connect(connect(port, "127.0.0.1")), /wants a password/);
  using vnc = await VncClient.connect(connect(port, "127.0.0.1"), "s3cret-8");
  vnc.type("from afar\n");
  await guest.untilLogged("heard: from afar");
  await guest.machine.suspend();
  await assert.rejects(once(connect(port, "127.0.0.1"), "connect"), /ECONNREFUSED/);
  using local = await VncClient.connect(connect(join(guest.runtimeDirectory, "vnc.sock")), "s3cret-8");
  assert.equal(local.width, 640);
});

test("resume and kill work on a machine that is held, and on no other", async () => {
  await using guest = await startGuest("while :; do echo tick > $log; sleep 0.1; done", named);
  await guest.untilLogged("tick");
  for (const verb of ["resume", "kill"]) {
    const { status, stderr } = await operate(guest, verb, "m");
    assert.equal(status, 1);
    assert.match(
      stderr,
      new RegExp(`^croft: Cannot ${verb} machine 'm': it is not suspended: it is at work\\n`),
    );
  }
  await guest.machine.suspend();
  await hold(guest);
  const other = await operate(guest, "resume", "other");
  assert.equal(other.status, 1);
  assert.match(
    other.stderr,
    /^croft: Cannot resume machine 'other': no such machine .*\n {2}There are: m \(instance default-1\)\n$/,
  );
  const foreign = await operate(guest, "resume", "m", "--toolchain-name", "gcc");
  assert.equal(foreign.status, 1);
  const resumed = guest.machine.resumedOrEnded();
  assert.match(
    (await operate(guest, "resume", "m", "--toolchain-name", "default")).stdout,
    /^machine m runs on/,
  );
  assert.equal(await resumed, "resumed");
  assert.match((await operate(guest, "resume", "default-1")).stderr, /it runs already/);
  assert.equal((await operate(guest, "kill", "m")).stdout, "machine m has ended\n");
  assert.equal((await guest.machine.wait(patienceSeconds))?.how, "exited");
  await removeSuspension(guest.runtimeDirectory);
  const none = await operate(guest, "kill", "m");
  assert.equal(none.status, 1);
  assert.match(none.stderr, /^croft: Cannot kill machine 'm': no such machine runs or is suspended in/);
});

test("a machine that another program talks to is in use, and said to be so", async () => {
  await using guest = await startGuest(shellOnConsole, named);
  await guest.untilLogged("ready");
  await hold(guest);
  const other = connect(join(guest.runtimeDirectory, "operator.qmp"));
  await once(other, "data"); // QEMU's greeting: it has taken this one
  const refused = await operate(guest, "kill", "m");
  assert.equal(refused.status, 1);
  assert.match(
    refused.stderr,
    /^croft: Cannot look at the machine in '.*default-1': something else is connected to '.*operator\.qmp', or QEMU hangs\n.*ss -xp/,
  );
  other.destroy();
  assert.equal((await operate(guest, "kill", "m")).status, 0);
});

test("what a crashed agent held is not held any more", async () => {
  await using guest = await startGuest("echo ready > $log; sleep 1000", named);
  await makeRuntimeDirectory(guest.runtimeDirectory);
  await hold(guest);
  const gone = spawn("true");
  await once(gone, "exit");
  await writeSuspension(guest.runtimeDirectory, {
    ...{ machine: "m", toolchain: "default", instance: 1, pid: gone.pid! },
    ...{ reason: "a test", since: new Date().toISOString() },
  });
  assert.match((await operate(guest, "kill", "m")).stderr, /it is not suspended/);
});

/** A TCP port in a range that is free now. */
async function freePort(from: number, to: number): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = from + Math.floor(Math.random() * (to - from));
    const server = createServer();
    const listening = once(server, "listening");
    server.listen(port);
    const free = await listening.then(
      () => (server.address() as AddressInfo).port === port,
      () => false,
    );
    await new Promise((resolve) => server.close(resolve));
    if (free) return port;
  }
  throw new Error("no free port");
}
