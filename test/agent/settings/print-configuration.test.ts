import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { makeSettings } from "./make-settings.ts";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { patienceMs } from "../../fixtures/patience.ts";

/** `croft agent ARGS --print-config` in a directory; must succeed. */
function print(cwd: string, ...args: string[]): string {
  const argv = [packageFile("bin", "croft.js"), "agent", ...args, "--print-config"];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, {
    encoding: "utf8",
    cwd,
    timeout: patienceMs,
  });
  assert.equal(stderr, "");
  assert.equal(status, 0);
  return stdout;
}

const file = `# what agents have in common
cpu: 4
toolchain-id: "1 # \\"x\\"\\nand more"
tftp: data/tftp
no-suspend: true
interactive: false
trust:
  - yes

  - no
controllers:
  - 0100=http://a.example/?x=1#y
  - http://b.example
`;

test("each value is printed with where it comes from, and the whole can be used as a file again", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  const at = (name: string) => join(directory.path, name);
  writeFileSync(at("agent.yaml"), file);
  const printed = print(
    directory.path,
    "--config",
    "agent.yaml",
    "--ram",
    "65536",
    "--openssl-option=-a b",
    "--openssl",
    "o",
    "--auth-key",
    "k",
  );
  const lines = printed.split("\n");
  for (const line of [
    "verbose: 1 # default",
    "# log-format: terminal # default",
    "# toolchain-lock: /var/lock/croft-agent-default.lock # default",
    "# startup-timeout: 300 for a bootstrap, 120 for a task # default",
    "# status-listen: nowhere # default",
    "cpu: 4 # agent.yaml:2",
    'toolchain-id: "1 # \\"x\\"\\nand more" # agent.yaml:3',
    `tftp: ${at("data/tftp")} # agent.yaml:4`,
    "no-suspend: true # agent.yaml:5",
    'interactive: "false" # agent.yaml:6',
    "  - yes # agent.yaml:8",
    "  - no # agent.yaml:10",
    "ram: 65536 # command line",
    "  - -a b # command line",
    "  - 0100=http://a.example/?x=1#y # agent.yaml:12",
    "  - http://b.example # agent.yaml:13",
  ])
    assert.ok(lines.includes(line), `${line}\n${printed}`);
  writeFileSync(at("again.yaml"), printed);
  const before = makeSettings({ ...given, tftp: at("data/tftp") }, [], at("agent.yaml"));
  assert.deepEqual(makeSettings({}, [], at("again.yaml")), before);
  const twice = print("/", "--config", at("again.yaml"));
  assert.deepEqual(parse(twice), parse(printed));
  assert.doesNotMatch(twice, /command line/);
});

const given = { ram: 65536, "openssl-option": ["-a b"], openssl: "o", "auth-key": "k" };

test("controllers of the command line replace the file's, and none are needed", async () => {
  await using directory = await temporaryDirectory("croft-test-");
  writeFileSync(join(directory.path, "agent.yaml"), file);
  const printed = print(directory.path, "--config", "agent.yaml", "http://c.example");
  assert.match(printed, /\ncontrollers:\n {2}- http:\/\/c\.example # command line\n$/);
  assert.match(print(directory.path), /\ncontrollers: \[\] # default\n$/);
});
