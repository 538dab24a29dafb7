/** Machines that lack something, and transfers that fail. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logOf, runGuest, shellsOf, statuses } from "./guest.ts";
import { packSource, script, serveSources } from "./sources.ts";

test("what a machine lacks is taken from busybox", async () => {
  await using sources = await serveSources();
  await packSource(sources, {
    ".croft/update": script(
      "echo updated",
      'echo "CROFT_UPLOAD=$CROFT_UPLOAD"',
      'mkdir -p "$CROFT_UPLOAD/x"',
    ),
    ".croft/test": script('echo kept > "$CROFT_UPLOAD/x/file"', "kill -9 $$"),
  });
  const lacking =
    "awk mawk dd find head mkfifo setsid sha256sum tail tar tee timeout unshare wc mv cp sed tr rm";
  const { result, artifacts } = await runGuest({
    shell: "dash",
    setup: `cd /usr/bin && rm -f curl ${lacking}`,
    task: { version: "1.0", "repository-url": sources.url },
  });
  assert.deepEqual(statuses(result), ["fetch success", "update success", "test abort"]);
  assert.match(logOf(result, "update"), /^updated$/m);
  assert.deepEqual([...artifacts.keys()], ["x/file"]);
});

test("a task manifest that came in part, before the time was over, is got again", async () => {
  await using sources = await serveSources();
  await packSource(sources, { ".croft/update": script("true") });
  const { result } = await runGuest({
    shell: "dash",
    setup: "rm -f /usr/bin/curl /usr/bin/atftp",
    files: {
      "usr/local/bin/busybox": script('[ "$1" != tftp ] || exit 127', 'exec /usr/bin/busybox "$@"'),
      // tftp-hpa on a slow connection.
      "usr/local/bin/tftp": script(
        '[ "$7" != task.manifest ] || [ -e /tried ] || {',
        "  : > /tried",
        `  printf ': 1\\nname: part\\n' > "$8"`,
        "  exec sleep 60",
        "}",
        'exec /usr/bin/tftp "$@"',
      ),
    },
    task: { version: "1.0", "repository-url": sources.url },
  });
  assert.deepEqual([result.name, result.status], ["hello", "success"]);
});

test("a bootstrap script that cannot be got at first is not left out", async () => {
  const { bootstrap } = await runGuest({
    shell: "dash",
    files: {
      "usr/local/bin/busybox": script(
        'case "$*" in tftp*bootstrap*)',
        '  [ -e /tried ] || { : > /tried; echo "tftp: timeout" >&2; exit 1; } ;;',
        "esac",
        'exec /usr/bin/busybox "$@"',
      ),
    },
    bootstrap: script("printf 'gcc 12' >> $CROFT_COMPONENTS"),
    task: { "repository-url": "http://127.0.0.1:9/" },
  });
  assert.deepEqual(bootstrap.versions, { croft: "1.7.0", gcc: "12.0.0" });
});

test("components of a bootstrap that are named twice, or badly, do not spoil it", async () => {
  for (const shell of shellsOf("busybox")) {
    const { bootstrap } = await runGuest({
      shell,
      bootstrap: script(
        "for line in 'gcc 11' 'clang 15.0' 'croft 7.0.0' '' 'odd 1.0.0-a..b' 'gcc 12.2' none; do",
        '  echo "$line" >> $CROFT_COMPONENTS',
        "done",
        "printf 'last 3' >> $CROFT_COMPONENTS",
      ),
      task: { "repository-url": "http://127.0.0.1:9/" },
    });
    assert.deepEqual(bootstrap.versions, { croft: "1.7.0", gcc: "12.2.0", clang: "15.0.0", last: "3.0.0" });
  }
});

test("an environment that closes the live log does no harm", async () => {
  await using sources = await serveSources();
  await packSource(sources, { ".croft/update": script("echo done") });
  for (const shell of shellsOf("dash")) {
    const { result } = await runGuest({
      shell,
      files: { "etc/croft/environments/default": script("shift", 'exec "$@" 7>&-') },
      task: { version: "1.0", "repository-url": sources.url },
    });
    assert.equal(logOf(result, "update"), "+ .croft/update\ndone");
  }
});
