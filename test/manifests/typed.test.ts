import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bootstrapEntries, parseBootstrap, type Bootstrap } from "../../manifests/bootstrap.ts";
import { formatBootstrappedMachine, parseBootstrappedMachine } from "../../manifests/bootstrapped-machine.ts";
import {
  formatMachine,
  formatMachineHeaders,
  parseMachine,
  parseMachineHeader,
  type MachineHeader,
} from "../../manifests/machine.ts";
import type { ParseOptions } from "../../manifests/parse-options.ts";
import { formatResult, parseResult } from "../../manifests/result.ts";
import {
  formatResultRequest,
  formatResultRequestInPieces,
  parseResultRequest,
} from "../../manifests/result-request.ts";
import { formatSections } from "../../manifests/sections.ts";
import { breakpointProblem, formatTask, parseTask } from "../../manifests/task.ts";
import { formatTaskRequest, parseTaskRequest } from "../../manifests/task-request.ts";
import { formatTaskResponse, parseTaskResponse } from "../../manifests/task-response.ts";
import * as full from "./full.ts";

type Parse = (bytes: Uint8Array, options?: ParseOptions) => unknown;

function fails(parse: Parse, text: string, message: string, options: ParseOptions = {}): void {
  assert.throws(() => parse(Buffer.from(text), { source: "f", ...options }), {
    name: "ManifestError",
    message,
  });
}

describe("what is formatted is parsed to the same", () => {
  const cases: [string, unknown, (value: never) => Uint8Array, Parse][] = [
    [
      "machine header",
      full.header,
      (header: MachineHeader) => formatMachineHeaders([header]),
      parseMachineHeader,
    ],
    ["machine", full.machine, formatMachine, parseMachine],
    ["machine without options", { ...full.machine, options: [] }, formatMachine, parseMachine],
    [
      "bootstrap",
      full.bootstrap,
      (value: Bootstrap) => formatSections([bootstrapEntries(value)]),
      parseBootstrap,
    ],
    ["bootstrapped machine", full.bootstrappedMachine, formatBootstrappedMachine, parseBootstrappedMachine],
    ["task", full.task, formatTask, parseTask],
    ["task of few values", full.plainTask, formatTask, parseTask],
    ["task request", full.taskRequest, formatTaskRequest, parseTaskRequest],
    ["task response", full.taskResponse, formatTaskResponse, parseTaskResponse],
    ["task response without a task", { session: "", uploadUrls: {} }, formatTaskResponse, parseTaskResponse],
    ["result", full.result, formatResult, parseResult],
    ["result request", full.resultRequest, formatResultRequest, parseResultRequest],
  ];
  for (const [name, value, format, parse] of cases)
    test(name, () => assert.deepEqual(parse(format(value as never)), value));

  test("whatever the arguments of a list contain", () => {
    const options = [
      "",
      "a b",
      "it's",
      'say "x"',
      `both ' and "`,
      `""''`,
      "tab\tand\nnewline",
      "plain",
      "\\",
    ];
    assert.deepEqual(parseMachine(formatMachine({ ...full.machine, options })).options, options);
  });
});

describe("strict parsing", () => {
  const start = ": 1\nid: a-1\nname: a\nsummary: s\n";

  test("says where an unknown name is", () =>
    fails(parseMachineHeader, `${start}  colour: red\n`, "f:5:3: unknown name 'colour'"));
  test("says where a repeated value is", () =>
    fails(parseMachineHeader, `${start}# c\nname: b\n`, "f:6:1: 'name' is repeated"));
  test("says in which manifest a value is missing", () =>
    fails(parseMachineHeader, "\n: 1\nid: a\nname: b\n", "f:2:1: 'summary' is missing"));
  test("names a misspelt name before the missing one", () =>
    fails(parseMachineHeader, ": 1\nid: a\nname: b\nsumary: s\n", "f:4:1: unknown name 'sumary'"));
  test("says where a bad value is", () => {
    fails(parseMachine, `${start}type:   qemu\n`, "f:5:9: invalid 'type': 'kvm', 'nspawn' expected");
    const mac = "a unicast MAC address (six hexadecimal pairs separated by ':') expected";
    fails(parseMachine, `${start}type: kvm\nmac: 01:00:00:00:00:00\n`, `f:6:6: invalid 'mac': ${mac}`);
    fails(
      parseMachine,
      `${start}type: kvm\noptions: 'a\n`,
      "f:6:10: invalid 'options': a quote is not closed",
    );
    const kib = "a positive number (of KiB) expected";
    fails(parseMachineHeader, `${start}ram-minimum: 0\n`, `f:5:14: invalid 'ram-minimum': ${kib}`);
    fails(
      parseMachineHeader,
      `${start}ram-minimum: 2\nram-maximum: 1\n`,
      "f:6:14: invalid 'ram-maximum': it is less than 'ram-minimum'",
    );
  });
  test("refuses a machine name that is no directory name", () => {
    for (const name of [".hidden", "a/b", "..", "a b", "é"])
      assert.throws(() => parseMachineHeader(Buffer.from(`: 1\nid: a\nname: ${name}\nsummary: s\n`)));
  });
  test("says what is missing after, and what is too much", () => {
    fails(parseMachineHeader, "# nothing\n", "f:2:1: machine header manifest expected");
    fails(parseTask, "", "f:1:1: task manifest expected");
    fails(parseMachineHeader, `${start}:\n`, "f:5:1: end of stream expected");
  });
  test("keeps the format's own errors", () =>
    fails(parseMachineHeader, ": 1\nid\n", "f:2:3: ':' expected after name"));
});

describe("lenient parsing", () => {
  const options = { lenient: true };

  test("skips unknown names and reports each once", () => {
    const names: string[] = [];
    const text = ": 1\nnew: 1\nname: p\nversion: 1\nstatus: success\nnew: 2\nnewer: 3\n";
    const result = parseResult(Buffer.from(text), { ...options, onUnknown: (name) => names.push(name) });
    assert.equal(result.status, "success");
    assert.deepEqual(names, ["new", "newer"]);
  });
  test("refuses everything else", () => {
    fails(parseResult, ": 1\nname: p\nversion: 1\n", "f:1:1: 'status' is missing", options);
    fails(parseResult, ": 1\nname: p\nname: p\n", "f:3:1: 'name' is repeated", options);
  });
});

describe("rules between values", () => {
  const request = ": 1\nagent: h\ntoolchain-name: default\ntoolchain-version: 1.0.0\n";
  test("an interactive request says where to log in", () => {
    fails(parseTaskRequest, `${request}interactive-mode: both\n`, "f:1:1: 'interactive-login' is missing");
    assert.equal(
      parseTaskRequest(Buffer.from(`${request}interactive-mode: false\n`)).interactiveMode,
      "false",
    );
  });
  test("a breakpoint is an operation, an end, or another worker's step", () => {
    const ours = ["fetch", "configure", "update", "test", "install", "error", "warning", "none"];
    for (const breakpoint of [...ours, "b.test-installed"])
      assert.equal(breakpointProblem(`${breakpoint} ssh build@host`), undefined, breakpoint);
    for (const breakpoint of ["", "updates", "tests-installed"])
      assert.equal(
        breakpointProblem(breakpoint),
        `'${breakpoint}' is no breakpoint: there are ${ours.join(", ")}`,
      );
  });
  test("a session needs a result URL and a task", () => {
    fails(parseTaskResponse, ": 1\nsession: s\n", "f:1:1: 'result-url' is missing");
    fails(parseTaskResponse, ": 1\nsession: s\nresult-url: http://h/\n", "f:4:1: task manifest expected");
  });
  test("without a session there is no challenge and nothing follows", () => {
    fails(
      parseTaskResponse,
      ": 1\nsession:\nchallenge: c\n",
      "f:3:12: invalid 'challenge': there is no session",
    );
    fails(parseTaskResponse, ": 1\nsession:\n:\nname: p\n", "f:3:1: end of stream expected");
  });
  test("an upload type is a plain directory name", () =>
    fails(
      parseTaskResponse,
      ": 1\nsession: s\nresult-url: http://h/\n../x-upload-url: http://h/\n",
      "f:4:1: unknown name '../x-upload-url'",
    ));
  test("an operation has a status and a log, and operations keep their order", () => {
    const start = ": 1\nname: p\nversion: 1\nstatus: error\n";
    fails(parseResult, `${start}update-status: error\n`, "f:1:1: 'update-log' is missing");
    fails(parseResult, `${start}update-log: x\n`, "f:5:1: unknown name 'update-log'");
    const text = `${start}z-status: success\nz-log:\n2-status: skip\n2-log: b\n1-status: error\n1-log: a\n`;
    const { operations } = parseResult(Buffer.from(text));
    assert.deepEqual(
      operations.map(({ name, log }) => `${name}:${log}`),
      ["z:", "2:b", "1:a"],
    );
  });
  test("a bootstrapped machine is three manifests, the first with a MAC address", () => {
    const machine = ": 1\nid: a-1\nname: a\nsummary: s\ntype: kvm\n";
    fails(parseBootstrappedMachine, machine, "f:1:1: 'mac' is missing");
    fails(
      parseBootstrappedMachine,
      `${machine}mac: 02:00:00:00:00:00\n`,
      "f:7:1: toolchain manifest expected",
    );
  });
  test("names that objects have already are kept like any other", () => {
    const { versions } = parseBootstrap(
      Buffer.from(": 1\n__proto__-version: 1.0.0\nconstructor-version: 2.0.0\n"),
    );
    assert.deepEqual(Object.keys(versions), ["__proto__", "constructor"]);
  });
  test("a result request has long lines", () => {
    const log = "word ".repeat(100) + "end";
    const bytes = formatResultRequest({
      ...full.resultRequest,
      result: { ...full.result, operations: [{ name: "update", status: "error", log }] },
    });
    assert.ok(Buffer.from(bytes).includes(log));
  });
});

test("a large result request is made in pieces of bounded size, of the same bytes", () => {
  const log = "cc -c a.c -o a.o\nzażółć\n".repeat(100_000);
  const operations = Array.from({ length: 20_000 }, (_, i) => ({
    name: `o${i}`,
    status: "success" as const,
    log: i === 7 ? log : "done\n",
  }));
  const request = {
    session: "s",
    result: { name: "a", version: "1", status: "success" as const, operations },
  };
  const pieces = [...formatResultRequestInPieces(request)];
  assert.ok(Buffer.concat(pieces).equals(formatResultRequest(request)));
  assert.ok(Math.max(...pieces.map(({ length }) => length)) < 1024 * 1024);
  assert.ok(pieces.length > 8);
});
