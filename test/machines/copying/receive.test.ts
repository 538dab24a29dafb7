import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { blockBytes } from "../../../machines/copying/blocks.ts";
import { Conversation } from "../../../machines/copying/conversation.ts";
import { receiveRevision } from "../../../machines/copying/receive.ts";
import { openFiles, wrongDisk } from "../../../machines/copying/files.ts";
import { sendRevision } from "../../../machines/copying/send.ts";
import { DirectoryStorage } from "../../../machines/directory-storage.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { silentLog } from "../../../os/log.ts";

const signal = new AbortController().signal;
const manifest = ": 1\nid: m-1\nname: m\nsummary: A machine\ntype: kvm\n";

/** A receiver whose machines are in a directory, and both ends of what it is told. */
function receiver(machines: string, patienceSeconds = 1800, signal = new AbortController().signal) {
  const [toIt, fromIt] = [new PassThrough(), new PassThrough()];
  const received = receiveRevision({
    ...{ conversation: new Conversation(toIt, fromIt, { patienceSeconds, signal }), machines, signal },
    storage: new DirectoryStorage(silentLog()),
    onStep: () => {},
  })
    .finally(() => fromIt.end())
    .then(
      () => "received",
      (error: Error) => error.message,
    );
  return { toIt, fromIt, received };
}

/** Says something to a receiver, and then nothing more; returns what it thinks of it. */
async function told(machines: string, ...said: (object | Buffer)[]): Promise<string> {
  const { toIt, fromIt, received } = receiver(machines);
  fromIt.resume();
  for (const each of said) toIt.write(each instanceof Buffer ? each : `${JSON.stringify(each)}\n`);
  toIt.end();
  return await received;
}

const numbers = (...values: number[]) => {
  const buffer = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => buffer.writeUInt32BE(value, 4 * index));
  return buffer;
};
const block = (text: string) =>
  Buffer.concat([Buffer.from(text), Buffer.alloc(blockBytes)]).subarray(0, blockBytes);
const digest = (bytes: Buffer) => hash("sha256", bytes, "buffer").subarray(0, 16);

test("what a sender may not do is refused, and nothing is left of it", async () => {
  await using directory = await temporaryDirectory("croft-test-receive-");
  const machines = join(directory.path, "machines");
  mkdirSync(join(machines, "v"), { recursive: true });
  const file = (name: string, bytes = 10, dataBytes = blockBytes) => ({ name, bytes, dataBytes });
  const offer = (...files: object[]) => ({ name: "m", id: "m-1", files });
  const right = offer(file("manifest", manifest.length));
  const content = block(manifest);
  const whole = [numbers(1, 0), digest(content), content, numbers(0)];
  const cases: [RegExp, (object | Buffer)[]][] = [
    [/it says 'SSH-2\.0' instead of/, [Buffer.from("SSH-2.0\n")]],
    [/instead of/, [Buffer.alloc(100_000, "x")]],
    [/instead of/, [{ ...right, files: [] }]],
    [/instead of/, [offer(file("manifest", 2 ** 50))]],
    [/receive machine '\.\.\/up': expected letters/, [{ ...right, name: "../up" }]],
    [/no file of a machine is called '\.\.\/disk\.img'/, [offer(file("manifest"), file("../disk.img"))]],
    [/no file of a machine is called '\.making'/, [offer(file("manifest"), file(".making"))]],
    [/it has a file twice/, [offer(file("manifest"), file("manifest"))]],
    [/it has no manifest/, [offer(file("disk.img"))]],
    [/it takes 8\.0 TiB, and .* are free/, [offer(file("manifest", 10, 2 ** 43))]],
    [/it ended before its time/, [right, ...whole.slice(0, 2)]],
    [/it ended before its time/, [right, ...whole.slice(0, 3)]],
    [/it sends more than it has offered/, [right, numbers(2, 0, 1)]],
    [/it sends more than it has offered/, [right, numbers(2 ** 32 - 1)]],
    [/blocks that the file cannot have/, [right, numbers(1, 1), digest(content)]],
    [/blocks that the file cannot have/, [offer(file("manifest", 8192, 8192)), numbers(2, 1, 0)]],
    [/it sends a block that is not what was told/, [right, numbers(1, 0), digest(content), block("other")]],
    [/its manifest has another id/, [{ ...right, id: "m-2" }, ...whole]],
    [/names machine 'm'/, [{ ...right, name: "n" }, ...whole]],
  ];
  for (const [expected, said] of cases) {
    assert.match(await told(machines, ...said), expected);
    const left = readdirSync(join(machines, "v"), { recursive: true }) as string[];
    assert.deepEqual(
      left.filter((entry) => !["m", "n"].includes(entry)),
      [],
      String(expected),
    );
  }
  assert.equal(await told(machines, right, ...whole), "received");
  assert.equal(readFileSync(join(machines, "v", "m", "m-1", "manifest"), "utf8"), manifest);
});

test("a sender of whom nothing is heard any more is given up, and nothing is left", async () => {
  await using directory = await temporaryDirectory("croft-test-receive-");
  const machines = join(directory.path, "machines");
  mkdirSync(join(machines, "v"), { recursive: true });
  const { toIt, fromIt, received } = receiver(machines, 0.2);
  fromIt.resume();
  const files = [{ name: "manifest", bytes: manifest.length, dataBytes: blockBytes }];
  toIt.write(`${JSON.stringify({ name: "m", id: "m-1", files })}\n`);
  assert.equal(await received, "it was silent for 0.2 s");
  assert.deepEqual(readdirSync(join(machines, "v", "m")), []);
});

test("one that is told to end does so at once, though nothing is heard of the sender, and leaves nothing", async () => {
  await using directory = await temporaryDirectory("croft-test-receive-");
  const machines = join(directory.path, "machines");
  mkdirSync(join(machines, "v"), { recursive: true });
  const interruption = new AbortController();
  const { toIt, fromIt, received } = receiver(machines, 30, interruption.signal);
  const files = [{ name: "manifest", bytes: manifest.length, dataBytes: blockBytes }];
  toIt.write(`${JSON.stringify({ name: "m", id: "m-1", files })}\n`);
  let said = "";
  for await (const chunk of fromIt) if ((said += String(chunk)).endsWith("\n{}\n")) break; // it waits for blocks
  interruption.abort(new Error("told to end"));
  assert.equal(await received, "told to end");
  assert.deepEqual(readdirSync(join(machines, "v", "m")), []);
});

test("blocks that are there are not sent, wherever they are; holes stay holes", async () => {
  await using directory = await temporaryDirectory("croft-test-receive-");
  const machines = join(directory.path, "machines");
  const old = join(machines, "v", "m", "m-1.1");
  const revision = join(directory.path, "revision");
  for (const path of [old, revision]) mkdirSync(path, { recursive: true });
  const blocks = Array.from({ length: 3000 }, (_, index) => block(`block ${index}`));
  writeFileSync(join(old, "manifest"), manifest.replace("m-1", "m-0"));
  writeFileSync(join(old, "disk.img"), Buffer.concat(blocks));
  symlinkSync("m-1.1", join(machines, "v", "m", "m-1"));
  writeFileSync(join(revision, "manifest"), manifest);
  const disk = [block("new"), Buffer.alloc(2 ** 24), ...blocks.toReversed(), Buffer.from("the end")];
  writeFileSync(join(revision, "disk.img"), Buffer.concat(disk));
  const { toIt, fromIt, received } = receiver(machines);
  const conversation = new Conversation(fromIt, toIt);
  using opened = new DisposableStack();
  const sent = await sendRevision(conversation, {
    ...{ name: "m", id: "m-1", files: openFiles(revision, "send", opened), signal },
    onStep: () => {},
  });
  assert.equal(await received, "received");
  const path = join(machines, "v", "m", "m-1.2");
  assert.equal(sent.path, path);
  assert.ok(readFileSync(join(path, "disk.img")).equals(readFileSync(join(revision, "disk.img"))));
  assert.equal(sent.newBytes, 3 * blockBytes); // the manifest, the new one, and the end
  assert.ok(conversation.bytesSent < 3003 * 20 + 4 * blockBytes, String(conversation.bytesSent));
  assert.ok(statSync(join(path, "disk.img")).blocks * 512 < 3100 * blockBytes, "holes are written");
});

test("a host that says something else than croft does is not believed", async () => {
  await using directory = await temporaryDirectory("croft-test-receive-");
  writeFileSync(join(directory.path, "manifest"), manifest);
  const greeting = (version: number) => `{"croft-machine-receive":${version},"croft":"9"}\n`;
  for (const [said, expected] of [
    ["root:x:0:0:root:/root:/bin/bash\n", /it says 'root:.*' instead of a greeting of croft/],
    ["y".repeat(100_000), /it says 'y+…' instead of a greeting/],
    [greeting(2), /it has croft 9, whose copies are of another kind/],
    [greeting(1), /it ended before its time/],
    [`${greeting(1)}{"there":1}\n`, /instead of an answer/],
    [`${greeting(1)}{}\n`, /it ended before its time/],
    [`${greeting(1)}{}\n\x01{}\n`, /it says '{}' instead of the path of the revision/],
  ] as const) {
    const [fromIt, toIt] = [new PassThrough(), new PassThrough()];
    toIt.resume();
    fromIt.end(said);
    using opened = new DisposableStack();
    const files = openFiles(directory.path, "send", opened);
    const sending = sendRevision(new Conversation(fromIt, toIt), {
      ...{ name: "m", id: "m-1", files, signal },
      onStep: () => {},
    });
    await assert.rejects(sending, expected);
  }
});

test("a disk that is a part of something else, a link and a directory are not sent", async () => {
  await using directory = await temporaryDirectory("croft-test-receive-");
  const path = join(directory.path, "disk.qcow2");
  const header = Buffer.alloc(65536);
  header.write("QFI\xfb", "latin1");
  header.writeUInt32BE(2, 4);
  header.writeBigUInt64BE(512n, 8); // where the name of its backing file is
  header.writeUInt32BE(11, 16);
  header.writeUInt32BE(16, 20);
  header.writeBigUInt64BE(65536n, 24);
  writeFileSync(path, header);
  using opened = new DisposableStack();
  const [disk] = openFiles(directory.path, "send", opened);
  assert.match(wrongDisk(disk!)!, /disk 'disk\.qcow2' cannot be used elsewhere: it has a backing file/);
  symlinkSync("/etc/passwd", join(directory.path, "kernel"));
  assert.throws(() => openFiles(directory.path, "send", opened), /kernel' is no plain file/);
});
