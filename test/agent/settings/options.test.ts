/** Each option's help, man page, table, configuration key and behaviour say the same, and what the design says. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { agentCommand } from "../../../agent/command.ts";
import { agentOptions } from "../../../agent/settings/options.ts";
import type { Settings } from "../../../agent/settings/settings.ts";
import { makeSettings } from "./make-settings.ts";
import { runCommand } from "../../../os/command-line/command.ts";
import { UsageFailure } from "../../../os/failure.ts";
import { packageFile, packageVersion } from "../../../os/files/package.ts";
import {
  describeDefault,
  describeRange,
  givenValues,
  optionUsage,
  type OptionDeclaration,
} from "../../../os/command-line/options.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../os/files/temporary.ts";

/** What is asked of an option: its default in the settings, good values at the edges, bad values. */
interface Expected {
  /** Where the value ends up; gives the default for no value. */
  setting?: (settings: Settings) => unknown;
  byDefault?: unknown;
  good?: readonly string[];
  bad?: readonly string[];
}

const numbers = (minimum: number, maximum: number) => ({
  good: [String(minimum), String(maximum)],
  bad: [String(minimum - 1), String(maximum + 1), "", "x", "1.5", "1e1", "0x10", " 1"],
});
const seconds = { good: ["1", "604800"], bad: ["0", "604801", "soon", "1m", "-1"] };
const runtime = process.getuid?.() === 0 ? "/run/croft" : `${process.env["XDG_RUNTIME_DIR"]}/croft`;
const fingerprint = Array<string>(32).fill("aF").join(":");

/** The design's table of options, and what was declared beyond it; by hand, so that neither can change unseen. */
const expected: Record<string, Expected> = {
  config: {},
  "print-config": {},
  verbose: { setting: (s) => s.verbosity, byDefault: 1, ...numbers(0, 6) },
  "systemd-daemon": { setting: (s) => s.systemd, byDefault: false },
  "log-format": {
    ...{ setting: (s) => s.logFormat, byDefault: "terminal" },
    ...{ good: ["terminal", "systemd", "json"], bad: ["", "JSON", "xml"] },
  },
  "toolchain-name": {
    ...{ setting: (s) => s.toolchain.name, byDefault: "default" },
    ...{ good: ["a", "_x+1.2"], bad: ["", "1a", "a-b", "a/b", "x.lock"] },
  },
  "toolchain-num": { setting: (s) => s.toolchain.number, byDefault: 1, ...numbers(1, 99) },
  "toolchain-lock": {
    ...{ setting: (s) => s.toolchainLock, byDefault: "/var/lock/croft-agent-default.lock" },
    ...{ good: ["", "/x/y"], bad: ["x", "./x"] },
  },
  "toolchain-ver": {
    ...{ setting: (s) => s.toolchain.version, byDefault: packageVersion },
    ...{ good: ["1.2.3"], bad: ["", "one two"] },
  },
  "toolchain-id": { setting: (s) => s.toolchain.id, byDefault: "", good: ["", "x y"] },
  interactive: {
    ...{ setting: (s) => s.interactive, byDefault: "false" },
    ...{ good: ["false", "true", "both"], bad: ["", "no", "yes"] },
  },
  instance: { setting: (s) => s.instance, byDefault: 1, ...numbers(1, 99) },
  "instance-max": { setting: (s) => s.instanceMax, byDefault: 0, ...numbers(0, 99) },
  machines: { setting: (s) => s.machines, byDefault: "/build/machines", good: ["/x"], bad: [""] },
  storage: {
    ...{ setting: (s) => s.storage, byDefault: "auto" },
    ...{ good: ["auto", "btrfs", "directory"], bad: ["", "zfs"] },
  },
  caches: {
    setting: (s) =>
      s.caches.map(({ name, bytes, from }) => `${name}=${bytes / 2 ** 20}MiB${from ? `:${from}` : ""}`),
    byDefault: [],
    good: ["a-1=16MiB", "m=2048MiB:/srv/x"],
    bad: ["", "A", "a=1", "a=1MiB", "a=2GiB:x", "abcdefghijklmno"],
  },
  "cache-directory": {
    setting: (s) => s.cacheDirectory,
    byDefault: "/build/caches",
    good: ["/x"],
    bad: [""],
  },
  "cache-max": { setting: (s) => s.cacheMaxBytes, byDefault: 20 * 2 ** 30, good: ["1"], bad: ["0", "x"] },
  tftp: { setting: (s) => s.tftp, byDefault: "/build/tftp", good: ["/x"], bad: [""] },
  "tftp-port": { setting: (s) => s.tftpPort, byDefault: 23401, ...numbers(1024, 55000) },
  // Of instance 1.
  "machine-uid": { setting: (s) => s.machineUid, byDefault: 70001, ...numbers(0, 2147383648) },
  network: {
    ...{ setting: (s) => s.network.kind, byDefault: "user", good: ["user", "bridge"], bad: ["", "tap"] },
  },
  bridge: {
    setting: (s) => (s.network.kind === "bridge" ? s.network.bridge : "br1"),
    ...{ byDefault: "br1", good: ["br0", "a".repeat(15)], bad: ["", "a/b", "a".repeat(16)] },
  },
  accel: {
    ...{ setting: (s) => s.accel, byDefault: "auto", good: ["auto", "kvm", "tcg"], bad: ["", "xen"] },
  },
  qemu: { setting: (s) => s.qemu, byDefault: undefined, good: ["qemu-system-x86_64"], bad: [""] },
  cpu: { setting: (s) => s.cpus, byDefault: 1, ...numbers(1, 1024) },
  ram: { setting: (s) => s.ramKiB, byDefault: 1048576, ...numbers(65536, 4294967296) },
  "auxiliary-ram": {
    ...{ setting: (s) => s.auxiliaryRam, byDefault: "auto" },
    ...{ good: ["0", "4294967296", "auto"], bad: ["-1", "4294967297", "", "all"] },
  },
  "machine-copies": {
    ...{ setting: (s) => s.machineCopies, byDefault: 1 },
    ...{ good: ["1", "99", "auto"], bad: ["0", "100", "", "many", "Auto"] },
  },
  "no-warm": { setting: (s) => !s.warm, byDefault: false },
  ahead: { setting: (s) => s.ahead, byDefault: "auto", good: ["auto", "off"], bad: ["", "on"] },
  "upload-max": {
    ...{ setting: (s) => s.uploadMaxBytes, byDefault: 1073741824 },
    ...{ good: ["1024", "1000000000000"], bad: ["1023", "1G", "9007199254740992"] },
  },
  "auth-key": { setting: (s) => s.authKey, byDefault: undefined, good: ["key.pem"], bad: [""] },
  openssl: {
    setting: (s) => s.openssl?.program,
    byDefault: undefined,
    good: ["/usr/bin/openssl"],
    bad: [""],
  },
  "openssl-option": { setting: (s) => s.openssl?.options, byDefault: undefined, good: ["-engine", "pkcs11"] },
  trust: {
    ...{ setting: (s) => s.trust, byDefault: [] },
    ...{ good: ["yes", "no", fingerprint], bad: ["", "maybe", "AA:BB", fingerprint.replaceAll(":", "")] },
  },
  "build-timeout": { setting: (s) => s.buildTimeoutSeconds, byDefault: 5400, ...seconds },
  "interactive-timeout": { setting: (s) => s.interactiveTimeoutSeconds, byDefault: 10800, ...seconds },
  "bootstrap-timeout": { setting: (s) => s.bootstrapTimeoutSeconds, byDefault: 3600, ...seconds },
  "auxiliary-timeout": { setting: (s) => s.auxiliaryTimeoutSeconds, byDefault: 600, ...seconds },
  "startup-timeout": {
    ...{ setting: (s) => s.startupTimeoutSeconds, byDefault: { bootstrap: 300, build: 120 }, ...seconds },
  },
  "bootstrap-retries": { setting: (s) => s.bootstrapRetries, byDefault: 2, ...numbers(0, 100) },
  "build-retries": { setting: (s) => s.buildRetries, byDefault: 2, ...numbers(0, 100) },
  "poll-interval": { setting: (s) => s.pollIntervalSeconds, byDefault: 60, ...seconds },
  "connect-timeout": { setting: (s) => s.connectTimeoutSeconds, byDefault: 60, ...seconds },
  "request-timeout": { setting: (s) => s.requestTimeoutSeconds, byDefault: 300, ...seconds },
  "request-retries": { setting: (s) => s.requestRetries, byDefault: 4, ...numbers(0, 100) },
  spool: { setting: (s) => s.spool, byDefault: "/var/lib/croft/spool", good: ["/x"], bad: [""] },
  runtime: { setting: (s) => s.runtime, byDefault: `${runtime}/default-1`, good: ["/x"], bad: [""] },
  "status-listen": {
    ...{ setting: (s) => s.statusListen, byDefault: undefined },
    ...{ good: ["127.0.0.1:0", "[::1]:65535"], bad: ["", "9400", "127.0.0.1", "::1:9400", "a:65536"] },
  },
  "no-suspend": { setting: (s) => !s.suspend, byDefault: false },
  "dump-machines": { setting: (s) => s.dump === "machines", byDefault: false },
  "dump-task": { setting: (s) => s.dump === "task", byDefault: false },
  "dump-result": { setting: (s) => s.dump === "result", byDefault: false },
  "fake-bootstrap": { setting: (s) => s.fakeBootstrap, byDefault: false },
  "fake-build": { setting: (s) => s.fakeBuild, byDefault: false },
  "fake-machine": { setting: (s) => s.fakeMachine, byDefault: undefined, good: ["f"], bad: [""] },
  "fake-request": { setting: (s) => s.fakeRequest, byDefault: undefined, good: ["f"], bad: [""] },
};
const commandLineOnly = /^(config|print-config|dump-.*|fake-.*)$/;

/** Parses a command line up to the settings. */
function settingsFor(...args: string[]): Settings {
  const command = agentCommand();
  command.action(() => {});
  command.configureOutput({ writeErr: () => {} }).parse(["http://a", ...args], { from: "user" });
  return makeSettings(givenValues(command, agentOptions), ["http://a"]);
}

/** What an option needs beside it to make sense. */
const companions: Record<string, string[]> = {
  bridge: ["--network=bridge"],
  openssl: ["--auth-key=k"],
  "openssl-option": ["--auth-key=k", "--openssl=o"],
};

/** Runs the command as bin/croft does; it must not come to the point where the agent starts. */
async function usage(...args: string[]): Promise<{ status: number; stderr: string }> {
  let stderr = "";
  const write = process.stderr.write;
  const command = agentCommand();
  process.stderr.write = (text: string | Uint8Array) => ((stderr += String(text)), true);
  try {
    return { status: await runCommand(command, args), stderr };
  } finally {
    process.stderr.write = write;
  }
}

test("the declared options are those that are expected, neither more nor fewer", () => {
  assert.deepEqual(agentOptions.map(({ name }) => name).sort(), Object.keys(expected).sort());
});

let directory: TemporaryDirectory;
before(async () => void (directory = await temporaryDirectory("croft-test-")));
after(() => directory[Symbol.asyncDispose]());

/** Settings that a file with this text leads to, or the failure's message. */
function configured(text: string): { file: string; settings?: Settings; message?: string } {
  const file = join(directory.path, "agent.yaml");
  writeFileSync(file, text);
  try {
    return { file, settings: makeSettings({}, ["http://a"], file) };
  } catch (error) {
    assert.ok(error instanceof UsageFailure, String(error));
    assert.doesNotMatch(error.message, /\n/);
    return { file, message: error.message };
  }
}

const oneLine = (text: string) => text.replace(/\s+/g, " ");
const help = oneLine(agentCommand().helpInformation());
const manPage = readFileSync(packageFile("docs", "man", "croft-agent.1"), "utf8").replaceAll("\\-", "-");
const table = readFileSync(packageFile("docs", "agent.md"), "utf8");

for (const option of agentOptions)
  describe(`--${option.name}`, () => {
    const { name, kind, value, prose } = option;
    const { setting, byDefault, good = [], bad = [] } = expected[name] ?? {};
    const text = describeDefault(option);

    test("stands in help, man page and table with prose, range and default", () => {
      const from = help.indexOf(` ${optionUsage(option)} `);
      assert.ok(from >= 0, "help");
      const next = agentOptions[agentOptions.indexOf(option) + 1];
      const entry = help.slice(from, next && help.indexOf(` ${optionUsage(next)} `));
      assert.ok(entry.includes(prose), entry);
      if (text !== undefined) assert.ok(entry.includes(`default: ${text})`), entry);
      const inPage = manPage.split(/^\.TP\n/m).find((part) => part.startsWith(`\\fB--${name}\\fR`));
      assert.ok(inPage, "man page");
      const plain = oneLine(inPage.replace(/\\f[BIR]/g, "").replaceAll("\\(aq", "'"));
      assert.ok(plain.includes(prose.slice(1)), plain);
      if (text !== undefined) assert.ok(plain.includes(`default: ${text})`), plain);
      if (kind === "integer") assert.ok(plain.includes(describeRange(option)), plain);
      const row = table
        .split("\n")
        .find((line) => line.startsWith(`| \`--${name}${value ? ` ${value}` : ""}\``));
      assert.ok(row !== undefined && row.includes(prose.slice(1)), `row: ${row}`);
      if (text !== undefined) assert.ok(row.includes(text), row);
    });

    test("has the default that is shown", () => {
      if (!setting) return;
      assert.deepEqual(setting(settingsFor()), byDefault);
      // What is shown is the default itself, unless it says in words what follows from other things.
      if (
        option.defaultWords === undefined &&
        text !== undefined &&
        !["tftp-port", "machine-uid"].includes(name)
      )
        assert.equal(text, String(byDefault));
    });

    test("takes good values on the command line and in the file, and no bad ones", async () => {
      for (const each of kind === "flag" && setting ? ["true"] : good) {
        const argument = kind === "flag" ? `--${name}` : `--${name}=${each}`;
        const settings = settingsFor(argument, ...(companions[name] ?? []));
        if (each !== String(byDefault)) assert.deepEqual(setting!(settings), typed(option, each), argument);
        if (!commandLineOnly.test(name)) checkKey(option, each, settings);
      }
      for (const each of bad) {
        const { status, stderr } = await usage(`--${name}=${each}`, "http://a");
        assert.equal(status, 2, `--${name}=${each}`);
        assert.match(
          stderr,
          new RegExp(`^croft: Cannot use the command line: option '--${name} <.*>' argument '`),
        );
        assert.match(stderr, /^[^\n]* is invalid: expected [^\n]+\n$|it must not [^\n]+\n$/);
        if (!commandLineOnly.test(name)) refuseKey(option, each);
      }
    });
  });

/** The value of a setting for a text. */
function typed({ name, kind, repeat, words = [] }: OptionDeclaration, text: string): unknown {
  if (name === "startup-timeout") return { bootstrap: Number(text), build: Number(text) };
  if (name === "tftp-port") return Number(text) + 1;
  if (name === "machine-uid") return text === "0" ? 0 : Number(text) + 1;
  if (name === "runtime") return `${text}/default-1`;
  if (name === "status-listen")
    return { address: text.replace(/:\d+$/, "").replace(/[[\]]/g, ""), port: Number(/\d+$/.exec(text)![0]) };
  if (kind === "flag") return true;
  const value = kind === "integer" && !words.includes(text) ? Number(text) : text;
  return repeat ? [value] : value;
}

const yaml = ({ kind, repeat }: OptionDeclaration, text: string) => {
  const scalar = kind === "flag" || (kind === "integer" && /^\d+$/.test(text)) ? text : JSON.stringify(text);
  return repeat ? `[${scalar}]` : scalar;
};

function checkKey(option: OptionDeclaration, text: string, settings: Settings): void {
  const beside = (companions[option.name] ?? []).map(
    (argument) => `${argument.slice(2).replace("=", ": ")}\n`,
  );
  const fromFile = configured(`${beside.join("")}${option.name}: ${yaml(option, text)}\n`);
  assert.deepEqual(fromFile.settings, settings, fromFile.message ?? option.name);
}

function refuseKey(option: OptionDeclaration, text: string): void {
  const { file, message } = configured(
    `verbose: 2\n${option.name}:\n  ${yaml(option, text)}\n`.replace("verbose: 2\nverbose", "\nverbose"),
  );
  assert.ok(message?.startsWith(`Cannot use configuration '${file}': ${file}:`), message);
  assert.match(message ?? "", new RegExp(`:[23]:\\d+: ${option.name}: (expected|it must not) `));
}

test("a value of another type is refused in the file, with the place of the item in a list", () => {
  for (const option of agentOptions.filter(({ commandLineOnly }) => !commandLineOnly)) {
    const wrong = { flag: "1", integer: '"1"', choice: "[]", string: "1", path: "1" }[option.kind];
    const text = option.repeat
      ? `${option.name}:\n  - yes\n  - ${wrong}\n`
      : `\n\n${option.name}: ${wrong}\n`;
    const { file, message } = configured(text);
    const column = option.repeat ? 5 : 1;
    assert.ok(
      message?.startsWith(
        `Cannot use configuration '${file}': ${file}:3:${column}: ${option.name}: expected `,
      ),
      message,
    );
    if (option.repeat) assert.match(configured(`${option.name}: yes\n`).message!, /: expected a list$/);
  }
});

test("modes are no keys", () => {
  const names = agentOptions.map(({ name }) => name).filter((name) => commandLineOnly.test(name));
  assert.deepEqual(
    agentOptions.filter((option) => option.commandLineOnly).map(({ name }) => name),
    names,
  );
  for (const name of names)
    assert.match(
      configured(`${name}: true\n`).message!,
      new RegExp(`:1:1: ${name}: it can only be given on the command line$`),
    );
});

for (const [args, message] of [
  [[], "Cannot start the agent: no controller URL"],
  [
    ["--dump-task", "--dump-machines"],
    "Cannot start the agent: --dump-machines and --dump-task exclude each other",
  ],
  [
    ["--dump-task", "--dump-result", "http://a"],
    "Cannot start the agent: --dump-task and --dump-result exclude each other",
  ],
  [
    ["--openssl", "openssl", "http://a"],
    "Cannot start the agent: --openssl needs a key to sign with (--auth-key)",
  ],
  [
    ["--auth-key", "k", "--openssl-option", "-engine", "http://a"],
    "Cannot start the agent: --openssl-option is for the program given with --openssl, and there is none",
  ],
  [
    ["=http://a"],
    "Cannot use controller '=http://a': its priority must be four or five digits, at most 19999",
  ],
  [
    ["http://a", "20000=http://b"],
    "Cannot use controller '20000=http://b': its priority must be four or five digits, at most 19999",
  ],
  [["0100=ftp://a"], "Cannot use controller '0100=ftp://a': expected an http or https URL"],
  [["--cpus", "1"], "Cannot use the command line: unknown option '--cpus' (did you mean --cpu?)"],
  [["--cpu"], "Cannot use the command line: option '--cpu <N>' argument missing"],
  [
    ["--systemd-daemon=1", "http://a"],
    "Cannot use the command line: unknown option '--systemd-daemon=1' (did you mean --systemd-daemon?)",
  ],
] as [string[], string][])
  test(`croft agent ${args.join(" ")}: one clear error, status 2`, async () => {
    const { status, stderr } = await usage(...args);
    assert.equal(status, 2);
    assert.ok(stderr.startsWith(`croft: ${message}`), stderr);
  });
