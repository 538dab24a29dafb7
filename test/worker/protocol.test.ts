import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  formatCommand,
  formatResponse,
  parseCommand,
  parseResponse,
  type Command,
  type Response,
} from "../../worker/protocol.ts";
import { transcripts } from "./transcripts.ts";

describe("the messages of boss and worker", () => {
  it("every recorded line reads as what it is, and is written as it was", () => {
    const wrong = new Set(["this is not json", '{"cmd": "configure"', '{"cmd": "build_boards"}']);
    const unknown = new Map([
      ['{"cmd": "frobnicate", "x": 1}', "frobnicate"],
      ['{"nocmd": 1}', ""],
    ]);
    let messages = 0;
    for (const [name, lines] of transcripts())
      for (const { from, text } of lines) {
        const where = `${name}: ${text}`;
        const read = from === "boss" ? parseCommand(text) : parseResponse(text);
        if (wrong.has(text)) assert.equal(read.kind, "invalid", where);
        else if (unknown.has(text)) assert.deepEqual(read, { kind: "unknown", name: unknown.get(text) });
        else if (text === "" && from === "boss") assert.equal(read.kind, "nothing", where);
        else if (from === "worker" && !text.startsWith("BM> ")) assert.equal(read.kind, "noise", where);
        else {
          assert.equal(read.kind, "message", where);
          const recorded = JSON.parse(text.replace(/^BM> /, "")) as Record<string, unknown>;
          if (recorded.cmd === "configure") recorded.toolchains ??= {};
          assert.deepEqual(read.message, recorded, where);
          const again =
            from === "boss"
              ? parseCommand(formatCommand(read.message as Command))
              : parseResponse(formatResponse(read.message as Response));
          assert.deepEqual(again, read, where);
          messages++;
        }
      }
    assert.equal(messages, 132);
  });

  it("a wrong command is told in words", () => {
    const reasons: [string, string | RegExp][] = [
      ["{", /^invalid JSON: /],
      ["[1]", "invalid JSON: this is no object"],
      ["null", "invalid JSON: this is no object"],
      ['{"cmd":"build_boards"}', "no boards specified"],
      ['{"cmd":"build_boards","boards":[]}', "no boards specified"],
      ['{"cmd":"build_boards","boards":"all"}', "build_boards: boards is no array"],
      ['{"cmd":"build_boards","boards":[7],"commits":["a"]}', "build_boards: boards[0] is no object"],
      ['{"cmd":"build_boards","boards":[{}],"commits":["a"]}', "build_boards: boards[0]: board is missing"],
      ['{"cmd":"build_prepare"}', "build_prepare: commits is missing"],
      ['{"cmd":"build_prepare","commits":[]}', "build_prepare: commits is empty"],
      ['{"cmd":"build_prepare","commits":["a",null]}', "build_prepare: commits[1] is no name"],
      [
        '{"cmd":"build_prepare","commits":["a"],"max_boards":-1}',
        "build_prepare: max_boards is no number from 0 on",
      ],
      ['{"cmd":"build_board"}', "build_board: board is missing"],
      ['{"cmd":"build_board","board":""}', "build_board: board is no name"],
      ['{"cmd":"build_board","board":"a","arch":1}', "build_board: arch is no string"],
      ['{"cmd":"build_board","board":"a","commits":[0.5]}', "build_board: commits[0] is no number from 0 on"],
      ['{"cmd":"setup","work_dir":5}', "setup: work_dir is no string"],
      ['{"cmd":"configure","settings":[]}', "configure: settings is no object"],
      ['{"cmd":"configure","settings":{"mrproper":"yes"}}', "configure: settings: mrproper is no boolean"],
      ['{"cmd":"configure","settings":{"recipe":{}}}', "configure: settings: recipe: build is missing"],
      ['{"cmd":"configure","toolchains":{"arm":3}}', "configure: toolchains.arm is no string"],
    ];
    for (const [line, reason] of reasons) {
      const read = parseCommand(line);
      assert.equal(read.kind, "invalid", line);
      if (typeof reason === "string") assert.equal(read.reason, reason);
      else assert.match(read.reason, reason);
    }
  });

  it("a wrong response is told in words, and an unknown one by its name", () => {
    assert.deepEqual(parseResponse("BM> 5"), { kind: "invalid", reason: "invalid JSON: this is no object" });
    assert.equal(parseResponse("BM> ").kind, "invalid");
    const result = '"resp":"build_result","board":"b","commit_upto":0';
    assert.deepEqual(parseResponse(`BM> {${result},"return_code":"2"}`), {
      kind: "invalid",
      reason: "build_result: return_code is no integer",
    });
    assert.deepEqual(
      parseResponse(`BM> {${result},"return_code":0,"load_avg":"high","sizes":{},"lines":7}`),
      {
        kind: "message",
        message: {
          ...{ resp: "build_result", board: "b", commit_upto: 0, return_code: 0 },
          ...{ stderr: "", stdout: "", load_avg: 0 },
        },
      },
    );
    assert.deepEqual(parseResponse('BM> {"resp":"ready","nthreads":"2"}'), {
      kind: "message",
      message: { resp: "ready", nthreads: 1, slots: 1 },
    });
    assert.deepEqual(parseResponse('BM> {"resp":"news"}'), { kind: "unknown", name: "news" });
    assert.deepEqual(parseResponse('BM> {"resp":"toString"}'), { kind: "unknown", name: "toString" });
    assert.deepEqual(parseResponse('{"resp":"quit_ack"}'), { kind: "noise" });
    assert.deepEqual(parseResponse('BM> {"resp":"quit_ack"}\r'), {
      kind: "message",
      message: { resp: "quit_ack" },
    });
  });

  it("what is unknown in a message is passed over, and unknown settings pass on", () => {
    assert.deepEqual(parseCommand('{"cmd":"build_board","board":"b","arch":null,"colour":"red"}'), {
      kind: "message",
      message: { cmd: "build_board", board: "b" },
    });
    const settings = { lines: true, recipe: { build: "make", more: 1 }, colour: "red", jobs: 3 };
    assert.deepEqual(parseCommand(JSON.stringify({ cmd: "configure", settings })), {
      kind: "message",
      message: { cmd: "configure", settings, toolchains: {} },
    });
    assert.deepEqual(parseCommand('{"cmd":"build_board","board":"b","commits":[2,0]}'), {
      kind: "message",
      message: { cmd: "build_board", board: "b", commits: [2, 0] },
    });
  });
});
