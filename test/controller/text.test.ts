/** What becomes of the text of untrusted machines: on pages, on terminals, in events. */
import assert from "node:assert/strict";
import { attemptsText } from "../../controller/setbacks.ts";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { runInNewContext } from "node:vm";
import { readEvents } from "../../controller/client/event-reader.ts";
import { TerminalText } from "../../os/text/terminal-text.ts";
import { AnsiRenderer } from "../../controller/dashboard/ansi.ts";
import { html } from "../../controller/dashboard/html.ts";
import { staticFiles } from "../../controller/dashboard/layout.ts";
import { LogLines } from "../../controller/dashboard/log/log-lines.ts";
import { countDiagnostics, severityOf } from "../../controller/builds/diagnostics.ts";
import { matchesPattern } from "../../controller/builds/name-pattern.ts";
import { wholeCharacters } from "../../controller/utf8.ts";

describe("a coloured line as HTML", () => {
  const render = (line: string) => new AnsiRenderer().render(line);

  test("has colours and weights as classes, and is escaped", () => {
    assert.equal(render("a <b> & \"c\" 'd'"), "a &lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
    assert.equal(render("\x1b[1;31mx<\x1b[0my"), '<span class="b f1">x&lt;</span>y');
    assert.equal(
      render("\x1b[38;5;9ma\x1b[48;2;0;0;200mb"),
      '<span class="f9">a</span><span class="f9 g4">b</span>',
    );
    assert.equal(render("\x1b[92;103mx\x1b[39;49my"), '<span class="f10 g11">x</span>y');
  });

  test("has nothing else that a terminal obeys", () => {
    assert.equal(render("a\x1b]0;title\x07b\x1b[2Kc\x1b[5Ad\x1b(Be\x1bPx\x1b\\f\x1b"), "abcdef");
    assert.equal(render("a\x00\x08b"), "a\ufffd\ufffdb");
    assert.equal(render("\x1b]8;;http://x/\x1b\\link\x1b]8;;\x1b\\"), "link");
  });

  test("shows what a carriage return left", () => {
    assert.equal(render("10%\r20%\rdone\r"), "done");
    assert.equal(render("\x1b[32m10%\r\x1b[0mdone"), "done");
  });

  test("goes on in the colour of the line before, wherever it is resumed", () => {
    const whole = new AnsiRenderer();
    whole.render("\x1b[1;3;38;5;208mx");
    const resumed = new AnsiRenderer(whole.state);
    assert.equal(resumed.render("y"), whole.render("y"));
    assert.match(whole.render("y"), /class="b i f/);
  });

  test("takes hostile lines in little time", () => {
    const start = performance.now();
    for (const part of ["\x1b[", "\x1b]", "\x1b[1;", "<", "\r", "\x1b[1m\x1b[", "\x1bP\x1b"])
      render(part.repeat(200_000));
    assert.ok(performance.now() - start < 5000);
  });

  test("whatever the bytes, only spans of known classes come out", () => {
    let seed = 7;
    const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
    const alphabet = [
      "\x1b",
      "[",
      "]",
      "m",
      ";",
      "3",
      "1",
      "8",
      "5",
      "<",
      ">",
      '"',
      "&",
      "\r",
      "\x07",
      "a",
      "\\",
      "P",
    ];
    for (let round = 0; round < 3000; round++) {
      const line = Array.from({ length: random(40) }, () => alphabet[random(alphabet.length)]).join("");
      const markup = render(line);
      const rest = markup.replaceAll(/<span class="[a-z0-9 ]+">|<\/span>|&(?:amp|lt|gt|quot|#39);/g, "");
      assert.doesNotMatch(rest, /[<>"&\x1b]/, JSON.stringify(line));
    }
  });
});

describe("a log in pieces", () => {
  test("gives the same lines however it is cut, and goes on from any position given", () => {
    const log = Buffer.from("one\ntwo \x1b[31mred\nthree ü\nfour");
    const whole = new LogLines("x").write(log).text;
    assert.match(
      whole,
      /<div id="x-L3"><a href="#x-L3" tabindex="-1">3<\/a><code><span class="f1">three ü<\/span>\n<\/code><\/div>$/,
    );
    for (let cut = 0; cut <= log.length; cut++) {
      const first = new LogLines("x");
      const begin = first.write(log.subarray(0, cut)).text;
      assert.equal(begin + first.write(log.subarray(cut)).text, whole);
      assert.match(first.tail().text, /id="x-L4".*four/);
      const before = new LogLines("x");
      const start = before.write(log.subarray(0, cut)).text;
      const { position } = before;
      assert.equal(start + new LogLines("x", position).write(log.subarray(position.offset)).text, whole);
    }
  });

  test("breaks a line that never ends", () => {
    const lines = new LogLines("x");
    assert.equal(lines.write(Buffer.alloc(200_000, "a")).text.match(/<div/g)?.length, 3);
  });

  test("finds what compilers report", () => {
    for (const line of [
      "a.c:1:2: error: x",
      "error: x",
      "error[E0308]: x",
      "make[2]: *** [x] Error 1",
      "main.obj : error LNK2019: x",
      "CMake Error at x",
    ])
      assert.equal(severityOf(line), "error", line);
    for (const line of ["a.c:1: warning: x", "warning: x", "a.cs(1): warning CS0168: x"])
      assert.equal(severityOf(line), "warning", line);
    for (const line of [
      "no errors",
      "-Werror",
      "error_handler.c",
      "checking for warning flags",
      "0 errors, 0 warnings",
    ])
      assert.equal(severityOf(line), undefined, line);
    assert.deepEqual(countDiagnostics("a\nerror: x\nwarning: y"), { lines: 3, warnings: 1, errors: 1 });
    assert.deepEqual(countDiagnostics(""), { lines: 0, warnings: 0, errors: 0 });
  });
});

test("how often a build was tried says why more than once", () => {
  const once = { attempts: 1, aborts: 0, faults: 0, interrupts: 0 };
  assert.equal(attemptsText(once), "1");
  assert.equal(attemptsText({ attempts: 5, aborts: 1, faults: 3, interrupts: 0 }), "5 (1 abort, 3 faults)");
  assert.equal(attemptsText({ ...once, interrupts: 1 }), "1 (1 interrupt)");
});

test("values in a template are escaped, markup is not, absent ones are nothing", () => {
  const name = `"><script>`;
  assert.equal(
    html`<a href="${name}">${[html`<b>x</b>`, undefined, false, 3]}</a>`.text,
    '<a href="&quot;&gt;&lt;script&gt;"><b>x</b>3</a>',
  );
});

test("a browser tells a time as the server does, of the same source", () => {
  const script = staticFiles.get("live.js")!.content.toString();
  const [source] = /^function formatDuration\([^]*?^\}$/m.exec(script)!;
  const told = runInNewContext(`${source}; [5, 3725, 90000].map(formatDuration).join()`) as string;
  assert.equal(told, "5s,1h02m,1d01h");
});

describe("text for a terminal", () => {
  test("keeps colours and takes out all that could do harm, however it is cut", () => {
    const text = "a\x1b[1;31mred\x1b[0m\x1b]0;title\x07b\x1b[2J\x1b[6nc\x9b5A\x00\td\x1bPq\x1b\\e\r\n";
    const expected = "a\x1b[1;31mred\x1b[0mbc5A\tde\r\n".replaceAll("\r", "");
    for (let cut = 0; cut <= text.length; cut++) {
      const filter = new TerminalText(true);
      const out = filter.write(text.slice(0, cut)) + filter.write(text.slice(cut));
      assert.equal(out.replaceAll("\r", ""), expected, `cut at ${cut}`);
    }
    assert.equal(new TerminalText(false).write("\x1b[31mx\x1b[0m"), "x");
  });
});

describe("small matters", () => {
  test("a pattern stands for a whole name", () => {
    assert.ok(matchesPattern("debian_*", "debian_13"));
    assert.ok(matchesPattern("*", ""));
    assert.ok(matchesPattern("a?c", "abc"));
    assert.ok(!matchesPattern("a.c", "abc"));
    assert.ok(!matchesPattern("debian", "debian_13"));
    assert.ok(matchesPattern("g++*[x]", "g++-1[x]"));
    assert.ok(matchesPattern("*a*b", "xaxbxab"));
    assert.ok(!matchesPattern("*a*b", "xaxbxaba"));
    assert.ok(!matchesPattern("?", ""));
    const start = performance.now();
    assert.ok(!matchesPattern(`${"*a".repeat(40)}b`, "a".repeat(5000)));
    assert.ok(performance.now() - start < 5000, "in bounded time");
  });

  test("a character that is cut off is told", () => {
    const bytes = Buffer.from("aü€😀");
    const whole = [0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10];
    for (const [length, expected] of whole.entries())
      assert.equal(wholeCharacters(bytes.subarray(0, length)), expected, `${length} bytes`);
    assert.equal(wholeCharacters(Buffer.from([0x80, 0x80, 0x80, 0x80])), 4);
  });

  test("events are read whatever ends their lines, and what is none is passed over", async () => {
    const text =
      "\ufeffdata: a\r\rdata\rdata:  b\r\n\r\nevent: x\n\nid: 1\u0000\ndata: c\nnonsense\n: data: d\n\nid\ndata: e\n\n";
    const bytes = Buffer.from(text);
    for (let size = 1; size <= bytes.length; size++) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.subarray(at * size, at * size + size),
      );
      const read = [];
      for await (const { event, data } of readEvents(Readable.from(pieces))) read.push(`${event}: ${data}`);
      assert.deepEqual(
        read,
        ["message: a", "message: \n b", "message: c", "message: e"],
        `pieces of ${size}`,
      );
    }
  });

  test("events are read in any pieces", async () => {
    const text = ": hello\nid: 7\nevent: log\ndata: a\ndata:b\n\nretry: 3\r\n\r\ndata: ü\n\ndata: unfinished";
    const bytes = Buffer.from(text);
    for (let size = 1; size < 20; size++) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.subarray(at * size, at * size + size),
      );
      const events = [];
      for await (const event of readEvents(
        (async function* () {
          yield* pieces;
        })(),
      ))
        events.push(event);
      assert.deepEqual(events, [
        { event: "log", data: "a\nb", id: "7" },
        { event: "message", data: "ü", id: "7" },
      ]);
    }
  });
});
