import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseController } from "../../../agent/settings/controller-setting.ts";
import { makeSettings } from "./make-settings.ts";
import { UsageFailure } from "../../../os/failure.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";

const usage = (pattern: RegExp) => (error: unknown) =>
  error instanceof UsageFailure && error.exitStatus === 2 && pattern.test(error.message);

test("a controller's priority is the digits before =, and nothing else", () => {
  assert.deepEqual(parseController("http://a/?x=1"), { url: "http://a/?x=1", priority: 0 });
  assert.deepEqual(parseController("0120=http://a/?x=1"), { url: "http://a/?x=1", priority: 120 });
  assert.deepEqual(parseController("19999=https://b"), { url: "https://b", priority: 19999 });
});

for (const bad of [
  "=http://a",
  "12=http://a",
  "123456=http://a",
  "20000=http://a",
  "ftp://a",
  "nonsense",
  "0000=",
  "",
])
  test(`controller '${bad}' is refused`, () => {
    assert.throws(() => parseController(bad), usage(/^Cannot use controller /));
  });

test("without a controller the agent has nothing to do, except in modes that need none", () => {
  assert.throws(() => makeSettings({}, []), usage(/no controller URL/));
  assert.equal(makeSettings({ "dump-machines": true }, []).dump, "machines");
  assert.equal(makeSettings({ "fake-request": "f" }, []).fakeRequest, "f");
  assert.throws(
    () => makeSettings({ "dump-machines": true, "dump-task": true }, []),
    usage(/exclude each other/),
  );
});

test("the command line wins over the configuration file, which wins over the defaults", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const file = join(directory.path, "agent.yaml");
  writeFileSync(file, "cpu: 4\nram: 2097152\ntrust: [yes]\ncontrollers:\n  - 0100=http://a.example\n");
  const settings = makeSettings({ cpu: 8 }, [], file);
  assert.equal(settings.cpus, 8);
  assert.equal(settings.ramKiB, 2097152);
  assert.deepEqual(settings.trust, ["yes"]);
  assert.deepEqual(settings.controllers, [{ url: "http://a.example", priority: 100 }]);
  assert.equal(settings.buildTimeoutSeconds, 5400);
});

test("the port is offset by toolchain and instance", () => {
  const settings = makeSettings({ "toolchain-num": 3, instance: 7 }, ["http://a"]);
  assert.equal(settings.tftpPort, 23400 + 207);
});

test("fake modes lock nothing unless told to", () => {
  assert.equal(makeSettings({ "fake-build": true }, ["http://a"]).toolchainLock, "");
  assert.equal(
    makeSettings({ "fake-build": true, "toolchain-lock": "/x" }, ["http://a"]).toolchainLock,
    "/x",
  );
  assert.equal(makeSettings({}, ["http://a"]).toolchainLock, "/var/lock/croft-agent-default.lock");
});

for (const [text, position, reason] of [
  ["cpu: many\n", "1:1", /cpu: expected a whole number from 1 to 1024/],
  ["ram: 1048576\nramm: 1\n", "2:1", /ramm: unknown key/],
  ["dump-task: true\n", "1:1", /dump-task: it can only be given on the command line/],
  ["cpu: 1\ncontrollers: http://a\n", "2:1", /controllers: expected a list/],
  ["toolchain-name: 1-2\n", "1:1", /toolchain-name: expected letters/],
  ["cpu: [1\n", "2:1", /./],
  ["cpu: 1\ncpu: 2\n", "2:1", /cpu: the key stands there twice/],
] as const)
  test(`the configuration ${JSON.stringify(text)} is refused with its position`, async () => {
    await using directory = await temporaryDirectory("croft-test-");
    const file = join(directory.path, "agent.yaml");
    writeFileSync(file, text);
    assert.throws(
      () => makeSettings({}, ["http://a"], file),
      (error) => {
        assert.ok(usage(reason)(error), String(error));
        assert.ok((error as Error).message.includes(`${file}:${position}`), (error as Error).message);
        return true;
      },
    );
  });
