import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { packageFile, packageVersion } from "../../os/files/package.ts";
import { patienceMs } from "../fixtures/patience.ts";

function croft(...args: string[]) {
  const argv = [packageFile("bin", "croft.js"), ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, {
    encoding: "utf8",
    timeout: patienceMs,
  });
  return { status, stdout, stderr };
}

test("help and version go to standard output with status 0", () => {
  const help = croft("--help");
  assert.equal(help.status, 0);
  assert.match(help.stdout, /Usage: croft COMMAND/);
  assert.deepEqual(croft("--version"), { status: 0, stdout: `${packageVersion}\n`, stderr: "" });
});

test("croft help COMMAND tells what croft COMMAND --help does, of parts of a command too", () => {
  assert.deepEqual(croft("help"), croft("--help"));
  assert.deepEqual(croft("help", "submit"), croft("submit", "--help"));
  assert.deepEqual(croft("help", "machine", "list"), croft("machine", "list", "--help"));
});

test("each command in the overview explains itself", () => {
  const names = [...croft("--help").stdout.matchAll(/^ {2}([a-z]+) {2,}/gm)].map(([, name]) => name!);
  assert.ok(names.length >= 8, names.join());
  for (const name of names) {
    const { status, stdout } = croft(name, "--help");
    assert.equal(status, 0, name);
    assert.match(stdout, new RegExp(`^Usage: croft ${name}`), name);
  }
});

for (const [args, message] of [
  [["agent"], "Cannot start the agent: no controller URL"],
  [
    ["agent", "--cpu", "many", "http://a"],
    "Cannot use the command line: option '--cpu <N>' argument 'many' is invalid: expected a whole number from 1 to 1024",
  ],
  [
    ["agent", "--toolchain-name", "1-2", "http://a"],
    "Cannot use the command line: option '--toolchain-name <NAME>' argument '1-2' is invalid: ",
  ],
  [
    ["agent", "--toolchain-lock", "x", "http://a"],
    "Cannot use the command line: option '--toolchain-lock <PATH>' argument 'x' is invalid: expected an absolute path",
  ],
  [["agent", "--nonsense", "http://a"], "Cannot use the command line: unknown option '--nonsense'"],
  [["agent", "12=http://a"], "Cannot use controller '12=http://a': its priority must be four or five digits"],
  [
    ["agent", "--config", "/nonexistent", "http://a"],
    "Cannot read configuration '/nonexistent': no such file or directory",
  ],
  [["nonsense"], "Cannot run 'croft nonsense': there is no such command\n  See: croft --help\n"],
  [["sumbit"], "Cannot run 'croft sumbit': there is no such command\n  Did you mean: croft submit\n"],
  [
    ["sumbit", "https://a/b.git"],
    "Cannot run 'croft sumbit': there is no such command\n  Did you mean: croft submit\n",
  ],
  [
    ["biulds", "--limit", "3"],
    "Cannot run 'croft biulds': there is no such command\n  Did you mean: croft builds\n",
  ],
  [["help", "biulds"], "Cannot run 'croft biulds': there is no such command\n  Did you mean: croft builds\n"],
  [
    ["help", "machine", "crate"],
    "Cannot use the command line: unknown command 'crate' (did you mean create?)",
  ],
  [["token", "lst", "--help"], "Cannot use the command line: unknown command 'lst' (did you mean list?)"],
  [["hlep"], "Cannot run 'croft hlep': there is no such command\n  Did you mean: croft help\n"],
  [["constructor"], "Cannot run 'croft constructor': there is no such command\n"],
] as [string[], string][])
  test(`croft ${args.join(" ")}: one clear error, status 2`, () => {
    const { status, stdout, stderr } = croft(...args);
    assert.equal(status, 2, stderr);
    assert.equal(stdout, "");
    assert.ok(stderr.startsWith(`croft: ${message}`), stderr);
  });

test("who has enough of what is said of an error changes nothing of the exit status", () => {
  const argv = [
    "-c",
    '{ "$@" 2>&1; echo "status $?" >&3; } 3>&2 | true',
    "sh",
    process.execPath,
    packageFile("bin", "croft.js"),
    "nonsense",
  ];
  const { stderr } = spawnSync("sh", argv, { encoding: "utf8" });
  assert.equal(stderr, "status 2\n");
});
