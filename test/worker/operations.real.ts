import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { logOf, runGuest, shells, shellsOf, statuses } from "./guest.ts";
import { packSource, script, serveSources } from "./sources.ts";

const everything = {
  ".croft/configure": script('for a in "$@"; do echo "<$a>"; done'),
  ".croft/update": script('echo "building $CROFT_NAME $CROFT_VERSION for $CROFT_TARGET, $GREETING"'),
  ".croft/test": script(
    "echo tested",
    'mkdir -p "$CROFT_UPLOAD/coverage"',
    'echo 99 > "$CROFT_UPLOAD/coverage/total"',
  ),
  ".croft/install": script('mkdir -p "$DESTDIR/usr/share"', 'echo content > "$DESTDIR/usr/share/file"'),
};

for (const shell of shells)
  test(`the worker performs all operations, passes arguments on, and uploads what was made (${shell})`, async () => {
    await using sources = await serveSources();
    await packSource(sources, everything);
    const { result, artifacts, bootstrap, console } = await runGuest({
      shell,
      bootstrap: script('echo "gcc 12.2" >> "$CROFT_COMPONENTS"', "echo odd one >> $CROFT_COMPONENTS"),
      task: {
        version: "1.0",
        "repository-url": sources.url,
        "target-config": `--host=x "CFLAGS=-O2 -g"`,
        "package-config": `'it"s' ""\n--last`,
        "variable-GREETING": "$(hi)  there",
      },
    });
    assert.deepEqual(bootstrap.versions, { croft: "1.7.0", gcc: "12.2.0" });
    assert.equal(result.status, "success");
    assert.deepEqual(
      statuses(result),
      ["fetch", "configure", "update", "test", "install"].map((name) => `${name} success`),
    );
    assert.match(logOf(result, "configure"), /<--host=x>\n<CFLAGS=-O2 -g>\n<it"s>\n<>\n<--last>$/);
    assert.match(logOf(result, "update"), /building hello 1\.0 for x86_64-linux-gnu, \$\(hi\) {2}there$/);
    assert.match(console, /==> update\r\n/);
    assert.deepEqual([...artifacts.keys()].sort(), [
      "artifact/hello-1.0-x86_64-linux-gnu.tar.gz",
      "coverage/total",
    ]);
    const packed = gunzipSync(artifacts.get("artifact/hello-1.0-x86_64-linux-gnu.tar.gz")!);
    assert.ok(packed.includes("./usr/share/file"));
  });

for (const shell of shellsOf("busybox"))
  test(`nothing is started for operations that the source does not have (${shell})`, async () => {
    await using sources = await serveSources();
    await packSource(sources, {
      ".croft/update": script("true"),
      ".croft/install": script("cat /entered"),
    });
    const { result } = await runGuest({
      shell,
      files: {
        "/etc/croft/environments/default": script('echo "entered for $4" >> /entered; shift; exec "$@"'),
      },
      task: { version: "1.0", "repository-url": sources.url },
    });
    assert.deepEqual(statuses(result), ["fetch success", "update success", "install success"]);
    assert.match(logOf(result, "install"), /\nentered for fetch\nentered for update\nentered for install$/);
  });

for (const shell of shellsOf("busybox", "dash"))
  test(`a build that does nothing makes the worker start few processes: each costs milliseconds in an emulated machine (${shell})`, async () => {
    await using sources = await serveSources();
    await packSource(sources, { ".croft/update": script("true") });
    const { result, processes } = await runGuest({
      shell,
      // No attempt is cut off, and counted twice, because the host is busy.
      files: { "usr/local/bin/timeout": script("shift", 'exec "$@"') },
      task: { version: "1.0", "repository-url": sources.url },
    });
    assert.deepEqual(statuses(result), ["fetch success", "update success"]);
    assert.ok(processes <= 55, String(processes));
  });

for (const shell of shellsOf("busybox"))
  test(`the worker stops after an operation that fails (${shell})`, async () => {
    await using sources = await serveSources();
    await packSource(sources, {
      ...everything,
      ".croft/test": script(
        "echo '1 of 2 failed' >&2",
        'mkdir -p "$CROFT_UPLOAD/core" && echo x > "$CROFT_UPLOAD/core/1"',
        "exit 3",
      ),
    });
    const { result, artifacts } = await runGuest({
      shell,
      task: { version: "1.0", "repository-url": sources.url },
    });
    assert.equal(result.status, "error");
    assert.deepEqual(statuses(result).slice(-2), ["update success", "test error"]);
    assert.match(logOf(result, "test"), /1 of 2 failed$/);
    assert.deepEqual([...artifacts.keys()], ["core/1"]);
  });

for (const shell of shellsOf("dash"))
  test(`the worker calls an operation that was killed aborted (${shell})`, async () => {
    await using sources = await serveSources();
    await packSource(sources, { ".croft/update": script("echo dying", "kill -9 $$") });
    const { result } = await runGuest({ shell, task: { version: "1.0", "repository-url": sources.url } });
    assert.equal(result.status, "abort");
    assert.deepEqual(statuses(result), ["fetch success", "update abort"]);
  });

for (const shell of shellsOf("busybox"))
  test(`the worker does not die of a build that kills all it can, and ends what a build leaves running (${shell})`, async () => {
    await using sources = await serveSources();
    await packSource(sources, {
      ".croft/update": script(
        "(trap '' TERM HUP; exec sleep 1000) &",
        "setsid sleep 1000 &",
        "echo left",
        "kill -9 0",
      ),
      ".croft/test": script("ps | grep -c '[s]leep 1000'", "exit 0"),
    });
    const { result } = await runGuest({ shell, task: { version: "1.0", "repository-url": sources.url } });
    assert.deepEqual(statuses(result), ["fetch success", "update abort"]);
    assert.match(logOf(result, "update"), /^left$/m);
  });

for (const shell of shellsOf("dash"))
  test(`the worker skips what has not changed (${shell})`, async () => {
    await using sources = await serveSources();
    await packSource(sources, everything);
    const task = { version: "1.0", "repository-url": sources.url };
    const first = (await runGuest({ shell, task })).result;
    const checksums = {
      "worker-checksum": first.workerChecksum!,
      "dependency-checksum": first.dependencyChecksum!,
    };
    const again = await runGuest({ shell, task: { ...task, ...checksums } });
    assert.equal(again.result.status, "skip");
    assert.deepEqual(again.result.operations, []);
    assert.equal(again.result.dependencyChecksum, first.dependencyChecksum);
    const other = await runGuest({ shell, task: { ...task, ...checksums, "package-config": "--other" } });
    assert.equal(other.result.status, "success");
  });

test("where there are no process namespaces, what a build leaves running is ended all the same", async () => {
  await using sources = await serveSources();
  await packSource(sources, {
    ".croft/update": script(
      "(trap '' TERM HUP; exec sleep 1000) &",
      "setsid sleep 1000 &",
      "echo left",
      "kill -9 0",
    ),
  });
  const { result } = await runGuest({
    shell: "dash",
    files: { "usr/local/bin/unshare": script("exit 1") },
    task: { version: "1.0", "repository-url": sources.url },
  });
  assert.deepEqual(statuses(result), ["fetch success", "update abort"]);
});

test("a machine may keep longer or shorter logs", async () => {
  await using sources = await serveSources();
  await packSource(sources, { ".croft/update": script("seq 100000") });
  const task = { version: "1.0", "repository-url": sources.url };
  for (const [limit, kept] of [
    ["1", 8192],
    ["64", 65536],
    ["4096", 588_895],
  ] as const) {
    const { result } = await runGuest({
      shell: "busybox",
      task,
      setup: `mkdir -p /etc/croft; echo log_limit_kib=${limit} > /etc/croft/worker.conf`,
    });
    const log = logOf(result, "update").replace(/\n\[\.\.\. \d+ bytes left out \.\.\.\]\n/, "");
    assert.ok(Math.abs(log.length - kept) < 32, `${limit}: ${log.length}`);
  }
});
