/** Builds that go wrong in every way, in real machines, all the way to the controller; and the farm goes on. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { compressFrame } from "lz4-napi";
import { sendsResult } from "../fixtures/abnormal-result.ts";
import { startFarm, type Farm } from "../fixtures/farm.ts";
import { patienceMs } from "../fixtures/patience.ts";
import { packSource, script } from "../worker/sources.ts";

let farm: Farm;
/** What the worker's own tests show of it, too, is built in a machine in the long part `builds` only. */
const inLongPart = process.env["CROFT_EVERY_BUILD"] === undefined ? async () => {} : test;

before(async () => {
  farm = await startFarm({
    ...{ machine: "minimal", from: "kept", ramKiB: 256 * 1024, controller: "retries: 0\n" },
  });
  await farm.startAgent();
});

after(async () => {
  await farm[Symbol.asyncDispose]();
});

/** Builds a source made of these operations. */
async function build(name: string, operations: Record<string, string | Buffer>) {
  const files = Object.fromEntries(
    Object.entries(operations).map(([operation, text]) => [`.croft/${operation}`, text]),
  );
  await packSource(farm.sources, files, `${name}-1.0.tar.gz`);
  return outcomeOf(await farm.submit({ name }));
}

async function outcomeOf(id: number) {
  const view = await farm.ended(id, 600);
  const statuses = view.operations.map((operation) => `${operation.name} ${operation.status}`);
  return { id, view, statuses, log: await farm.log(id) };
}

/** The build plays the worker: it sends a result of its own making, the file `frame` among the sources. */
const sendsFrame = () =>
  script(
    `wget -q -O /tmp/frame ${farm.guestUrl("/frame")}`,
    `set -- $(tr ':' ' ' < /sys/firmware/qemu_fw_cfg/by_name/opt/croft/tftp/raw)`,
    `busybox tftp -b 1468 -p -l /tmp/frame -r result.manifest.lz4 "$1" "$2"`,
    "sleep 60",
  );

test("a good build is a success, with its artifact; the same once more is skipped", async () => {
  const content = "what was built\n";
  const { id, view, statuses, log } = await build("good", {
    configure: script("echo configuring"),
    update: script(
      "echo updating",
      `mkdir -p "$CROFT_UPLOAD/artifact"`,
      `echo what was built > "$CROFT_UPLOAD/artifact/out.txt"`,
    ),
    test: script("echo testing"),
  });
  assert.equal(view.status, "success", log);
  assert.deepEqual(statuses, ["fetch success", "configure success", "update success", "test success"]);
  assert.match(log, /updating/);
  assert.deepEqual(
    view.artifacts.map(({ name, type, sha256 }) => [type, name, sha256]),
    [["artifact", "out.txt", createHash("sha256").update(content).digest("hex")]],
  );
  assert.equal(await (await fetch(view.artifacts[0]!.url)).text(), content);
  const again = await farm.ended(await farm.submit({ name: "good", force: false }));
  const { status, operations, artifacts, sameAs } = again as typeof again & { sameAs: number };
  assert.deepEqual([status, operations, artifacts, sameAs], ["skip", [], [], id], await farm.agentTail());
});

void inLongPart("a build with warnings is one", async () => {
  const { view, statuses } = await build("warned", {
    update: script("echo 'x.c:3:1: warning: unused variable' >&2"),
  });
  assert.equal(view.status, "warning");
  assert.deepEqual(statuses, ["fetch success", "update warning"]);
});

test("after an error nothing more is done; what the build has left, such as reports of its tests, is there", async () => {
  const report = `<testsuite tests="2"><testcase name="good"/><testcase name="bad"><failure message="3, not 4"/></testcase></testsuite>`;
  const { view, statuses, log } = await build("failing", {
    update: script(
      `mkdir -p "$CROFT_UPLOAD/report"`,
      `echo '${report}' > "$CROFT_UPLOAD/report/unit.xml"`,
      "echo 'x.c:3:1: error: no such thing' >&2",
      "exit 2",
    ),
    test: script("echo never"),
  });
  assert.equal(view.status, "error");
  assert.deepEqual(statuses, ["fetch success", "update error"]);
  assert.deepEqual(
    view.artifacts.map(({ type, name }) => `${type}/${name}`),
    ["report/unit.xml"],
  );
  const { tests } = view as typeof view & { tests: { tests: number; failed: unknown[] } };
  assert.deepEqual([tests.tests, tests.failed.length], [2, 1]);
  assert.match(log, /no such thing/);
  assert.doesNotMatch(log, /never/);
});

test("a build that kills its machine is aborted, and its log says what was last printed", async () => {
  const { view, log } = await build("panic", {
    update: script(
      "echo last words",
      "sync; sleep 1",
      "echo 1 > /proc/sys/kernel/sysrq",
      "echo c > /proc/sysrq-trigger",
      "sleep 60",
    ),
  });
  assert.equal(view.status, "abort");
  assert.match(log, /the machine ended before its result: .*panic/);
  assert.match(log, /last words/);
  const evidence = join(farm.spool, "default-1", "evidence");
  const consoles = readdirSync(evidence).map((name) =>
    readFileSync(join(evidence, name, "console.log"), "utf8"),
  );
  assert.ok(consoles.some((text) => /Kernel panic - not syncing/.test(text)));
});

void inLongPart("a build that fills its disk is an error, told as such", async () => {
  const { view, log } = await build("full", {
    update: script(
      "busybox fallocate -l 700M big",
      "dd if=/dev/zero of=rest bs=1M count=4000",
      "echo status $?",
      "echo more > small || exit 1",
    ),
  });
  assert.equal(view.status, "error");
  assert.match(log, /No space left on device/);
});

void inLongPart("a build that prints 16 MB ends with a bounded log that says what was cut", async () => {
  const { view, log } = await build("loud", {
    update: script(
      "echo first line",
      "yes 'a line of a very talkative build, which nobody will ever read' | head -c 16000000",
      "echo last line",
    ),
  });
  assert.equal(view.status, "success", log.slice(-2000));
  assert.ok(log.length < 12_000_000, `${log.length}`);
  assert.match(log, /first line/);
  assert.match(log, /last line/);
});

void inLongPart("colours, invalid UTF-8 and control characters make no log unreadable", async () => {
  const nasty = Buffer.concat([
    Buffer.from("#!/bin/sh\ncat <<'EOF'\n\u001b[31mred\u001b[0m \u0007bell \u200bzero width "),
    Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0x01, 0x7f]),
    Buffer.from(" \u{1f600} end\nEOF\n"),
  ]);
  const { view, log } = await build("nasty", { update: nasty });
  assert.equal(view.status, "success", log);
  assert.match(log, /red/);
  assert.match(log, /end/);
});

void inLongPart("a source that nobody knows how to build is an error", async () => {
  await packSource(farm.sources, { README: "nothing else" }, "unknown-1.0.tar.gz");
  const { view, statuses, log } = await outcomeOf(await farm.submit({ name: "unknown" }));
  assert.equal(view.status, "error");
  assert.deepEqual(statuses, ["fetch success", "update error"]);
  assert.match(log, /CMakeLists\.txt[^]*It has: README/);
});

void inLongPart("a 64 MB result in a 250 KB LZ4 frame is taken", async () => {
  const head = ": 1\nname: bomb\nversion: 1.0\nstatus: success\nupdate-status: success\nupdate-log:\n\\\n";
  const result = Buffer.from(
    `${head}${"a".repeat(1023)}\n`.padEnd(64 * 1024 * 1024, `${"a".repeat(1023)}\n`) + "\n\\\n",
  );
  const frame = await compressFrame(result);
  assert.ok(frame.length < 300_000, `${frame.length}`);
  await writeFile(join(farm.sources.directory, "frame"), frame);
  const { view } = await build("bomb", { update: sendsFrame() });
  assert.equal(view.status, "success");
  assert.deepEqual(
    view.operations.map(({ name, status }) => [name, status]),
    [["update", "success"]],
  );
});

void inLongPart("a million empty LZ4 frames are refused at once, as the machine's fault", async () => {
  const empty = await compressFrame(Buffer.alloc(0));
  await writeFile(join(farm.sources.directory, "frame"), Buffer.alloc(1_000_000 * empty.length, empty));
  const { view, log } = await build("frames", { update: sendsFrame() });
  assert.equal(view.status, "abnormal");
  assert.match(log, /there are more than 1000 of them/);
});

test("a result that is no manifest is abnormal, and kept for the operator", async () => {
  const { view, log } = await build("broken", { update: sendsResult("this is no manifest\n") });
  assert.equal(view.status, "abnormal");
  assert.match(log, /result\.manifest:1:\d+: /);
  const evidence = join(farm.spool, "default-1", "evidence");
  assert.ok(readdirSync(evidence).some((name) => existsSync(join(evidence, name, "result.manifest"))));
});

test("after all that the farm still builds, and nothing is left behind", async () => {
  const { view } = await build("again", { update: script("echo fine") });
  assert.equal(view.status, "success");
  await farm.stopAgent();
  const log = readFileSync(farm.agentLog, "utf8");
  assert.match(log, /INFO: agent ended/);
  const home = join(farm.machines, "volume", "minimal");
  const isRemoved = () => readdirSync(home).every((name) => !name.endsWith(".removed"));
  for (const deadline = Date.now() + patienceMs; !isRemoved() && Date.now() < deadline;) await delay(50);
  const kept = ["minimal-1", "minimal-default", "minimal-default.lock"];
  assert.deepEqual(readdirSync(home).sort(), kept, log);
  assert.deepEqual(readdirSync(join(farm.spool, "default-1")).sort(), ["evidence", "lock"]);
});
