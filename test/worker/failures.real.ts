import assert from "node:assert/strict";
import { test } from "node:test";
import { logOf, runGuest, shellsOf, statuses } from "./guest.ts";
import { packSource, script, serveSources } from "./sources.ts";

for (const shell of shellsOf("busybox"))
  test(`an environment runs every operation, and one that is missing is said so (${shell})`, async () => {
    await using sources = await serveSources();
    await packSource(sources, { ".croft/update": script("echo $CC in $CROFT_VERSION") });
    const task = { version: "1.0", "repository-url": sources.url };
    const files = {
      "etc/croft/environments/default": script('export CC="default-cc"', "shift", 'exec "$@"'),
      "etc/croft/environments/cross": script('export CC="$1-gcc"', "shift", 'exec "$@"'),
    };
    const log = async (environment: Record<string, string>) =>
      logOf((await runGuest({ shell, files, task: { ...task, ...environment } })).result, "update");
    assert.match(await log({}), /default-cc in 1\.0$/m);
    assert.match(await log({ environment: "cross" }), /x86_64-linux-gnu-gcc in 1\.0$/m);
    for (const environment of ["other", "../../../bin/sh"]) {
      const { result } = await runGuest({ shell, files, task: { ...task, environment } });
      assert.equal(result.status, "error"); // whoever asked for it is wrong: no machine is kept for that
      assert.deepEqual(statuses(result), ["task error"]);
      assert.ok(logOf(result, "task").includes(environment));
    }
  });

for (const shell of shellsOf("busybox"))
  test(`a build that fills its disk still gives a result, and what can be uploaded (${shell})`, async () => {
    await using sources = await serveSources();
    await packSource(sources, {
      ".croft/update": script(
        'mkdir -p "$CROFT_UPLOAD/core"',
        'head -c 3000000 /dev/zero > "$CROFT_UPLOAD/core/big"',
        "cat /dev/zero > filler",
        "echo the disk is full: $?",
        "exit 1",
      ),
    });
    const { result, artifacts } = await runGuest({
      shell,
      diskMiB: 16,
      task: { version: "1.0", "repository-url": sources.url },
    });
    assert.deepEqual(statuses(result), ["fetch success", "update error"]);
    assert.match(logOf(result, "update"), /No space left on device\nthe disk is full: 1$/);
    assert.equal(artifacts.get("core/big")?.length, 3_000_000);
  });

for (const shell of shellsOf("dash"))
  test(`what the worker cannot do is an abnormal result, and an error if the task is to blame (${shell})`, async () => {
    const task = { version: "1.0", "repository-url": "http://127.0.0.1:9/" };
    const regex = await runGuest({ shell, task: { ...task, "warning-regex": "'bad(('" } });
    assert.deepEqual(statuses(regex.result), ["task error"]);
    assert.match(logOf(regex.result, "task"), /bad warning-regex/);
    assert.equal(regex.result.name, "hello");
    const manifest = await runGuest({ shell, task: ": 1\nname: hello\nno colon here\n" });
    assert.deepEqual(statuses(manifest.result), ["worker abnormal"]);
    assert.match(logOf(manifest.result, "worker"), /cannot read the task manifest: line 3/);
    const disk = await runGuest({ shell, task, setup: "mkdir -p /var/lib && : > /var/lib/croft" });
    assert.deepEqual(statuses(disk.result), ["worker abnormal"]);
    assert.match(logOf(disk.result, "worker"), /cannot make the directory/);
  });

for (const shell of shellsOf("busybox", "dash"))
  test(`what cannot be uploaded is named, and the rest comes: links as files, names that are taken as others (${shell})`, async () => {
    await using sources = await serveSources();
    await packSource(sources, {
      ".croft/update": script(
        'mkdir -p "$CROFT_UPLOAD/log/deep" "$CROFT_UPLOAD/bad type" && cd "$CROFT_UPLOAD"',
        "echo 1 > log/one; echo 2 > log/deep/two; echo 3 > 'bad type/three'; echo 4 > four",
        "echo 5 > 'log/back\\slash'; echo 6 > log/deep-two; echo 7 > \"log/$(printf 'a\\nb \\342\\200\\256')\"",
        "ln -s one log/link; ln -s /etc/passwd log/out; ln -s nowhere log/dangling; mkfifo log/pipe",
        "mkdir log/$(printf %0200d 0) && cd log/0*0 && echo 8 > long",
      ),
    });
    const { artifacts, result } = await runGuest({
      shell,
      task: { version: "1.0", "repository-url": sources.url },
    });
    assert.deepEqual(statuses(result), ["fetch success", "update success", "upload warning"]);
    assert.deepEqual(Object.fromEntries([...artifacts].map(([name, content]) => [name, String(content)])), {
      "log/one": "1\n",
      "log/link": "1\n",
      "log/deep-two": "6\n",
      "log/deep-two.2": "2\n",
      "log/back_slash": "5\n",
      "log/a_b ?": "7\n",
      [`log/${"0".repeat(195)}-long`]: "8\n",
    });
    const log = logOf(result, "upload");
    for (const name of ["bad type", "four", "log/out", "log/dangling", "log/pipe"])
      assert.ok(log.includes(`${name} is not delivered: `), `${name}: ${log}`);
    assert.ok(log.includes("log/deep/two is delivered as deep-two.2: "), log);
  });

for (const shell of shellsOf("busybox", "dash"))
  test(`hard links are uploaded as files of their own, on a full disk too (${shell})`, async () => {
    await using sources = await serveSources();
    await packSource(sources, {
      ".croft/update": script(
        'mkdir -p "$CROFT_UPLOAD/core"',
        'head -c 3000000 /dev/zero > "$CROFT_UPLOAD/core/one"',
        'ln "$CROFT_UPLOAD/core/one" "$CROFT_UPLOAD/core/two"',
        "cat /dev/zero > filler",
        "exit 1",
      ),
    });
    const { artifacts, result } = await runGuest({
      shell,
      diskMiB: 24,
      task: { version: "1.0", "repository-url": sources.url },
    });
    assert.deepEqual(statuses(result), ["fetch success", "update error"]);
    assert.deepEqual(
      [...artifacts].map(([name, content]) => `${name} ${content.length}`),
      ["core/one 3000000", "core/two 3000000"],
    );
  });

test("of what is more than the agent takes, the largest is left out, and that is an error of the result", async () => {
  await using sources = await serveSources();
  await packSource(sources, {
    ".croft/update": script(
      'mkdir -p "$CROFT_UPLOAD/x" && cd "$CROFT_UPLOAD/x"',
      "head -c 2000000 /dev/zero > big && head -c 300000 /dev/zero > small",
    ),
  });
  const { result, artifacts } = await runGuest({
    shell: "dash",
    uploadMaxBytes: 1_000_000,
    task: { version: "1.0", "repository-url": sources.url },
  });
  assert.deepEqual([...artifacts.keys()], ["x/small"]);
  assert.deepEqual(statuses(result), ["fetch success", "update success", "upload error"]);
  assert.match(logOf(result, "upload"), /^x\/big is not delivered: .* 2000000 bytes/m);
  assert.equal(result.status, "error");
});

test("without busybox's TFTP client the others serve as well", async () => {
  await using sources = await serveSources();
  await packSource(sources, { ".croft/update": script("echo done") });
  const files = {
    "usr/local/bin/busybox": script('[ "$1" != tftp ] || exit 127', 'exec /usr/bin/busybox "$@"'),
  };
  for (const client of ["atftp", "curl", "tftp"]) {
    const others = ["atftp", "curl", "tftp"].filter((other) => other !== client);
    const { result } = await runGuest({
      shell: "dash",
      files,
      setup: `rm -f ${others.map((other) => `/usr/bin/${other}`).join(" ")}`,
      bootstrap: script("cp $CROFT_COMPONENTS /dev/null"),
      task: { version: "1.0", "repository-url": sources.url },
    });
    assert.equal(result.status, "success", client);
  }
});
