import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeText } from "./code-points.ts";
import { logOf, runGuest, shellsOf, statuses, type Shell } from "./guest.ts";
import { packSource, script, serveSources } from "./sources.ts";

/** What a source's `update` prints, as the result has it. */
async function logOfOutput(shell: Shell, output: Buffer, task: Record<string, string> = {}) {
  await using sources = await serveSources();
  await packSource(sources, { output, ".croft/update": script("cat output") });
  const run = await runGuest({
    shell,
    diskMiB: 160,
    task: { version: "1.0", "repository-url": sources.url, ...task },
  });
  const log = logOf(run.result, "update").replace("+ .croft/update\n", "");
  return { ...run, log };
}

for (const shell of shellsOf("busybox", "dash"))
  test(`a log is what a terminal would show (${shell})`, async () => {
    const { log } = await logOfOutput(
      shell,
      Buffer.from(
        [
          "plain\ttext \\",
          "\x1b[01;31m\x1b[Kred\x1b[m\x1b[K green\x1b(B \x1b]0;title\x07window \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
          " 10%\r 50%\r100%\r",
          "ab\b\bcd",
          "\\",
          "\\\\",
          "# no comment",
          ": 1",
          "",
          "  indented  ",
          "grüße €uro 😀",
          "last\r\n",
        ].join("\n"),
      ),
    );
    assert.equal(
      log,
      [
        "plain\ttext \\",
        "red green window link",
        "100%",
        "cd",
        "\\",
        "\\\\",
        "# no comment",
        ": 1",
        "",
        "  indented  ",
        "grüße €uro 😀",
        "last",
      ].join("\n"),
    );
  });

for (const shell of shellsOf("busybox", "dash"))
  test(`every byte and every code point that the format refuses becomes a question mark (${shell})`, async () => {
    const { input, expected } = decodeText();
    const { log } = await logOfOutput(shell, input);
    const [lines, wanted] = [log.split("\n"), expected.split("\n")];
    for (const [index, line] of wanted.entries()) assert.equal(lines[index], line, `line ${index + 1}`);
    assert.equal(lines.length, wanted.length);
  });

for (const shell of shellsOf("busybox"))
  test(`random bytes give a result that can be read (${shell})`, async () => {
    const bytes = Buffer.alloc(300_000);
    for (let index = 0, state = 42; index < bytes.length; index++) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      bytes[index] = state >>> 16;
    }
    const { result, log } = await logOfOutput(shell, bytes);
    assert.deepEqual(statuses(result), ["fetch success", "update success"]);
    assert.ok(log.length > 100_000, String(log.length));
  });

for (const shell of shellsOf("busybox"))
  test(`of a long log beginning and end are kept, and the cut is marked (${shell})`, async () => {
    await using sources = await serveSources();
    const lines = 1_500_000;
    await packSource(sources, {
      ".croft/update": script(`seq -f 'line %.0f' ${lines} 2> /dev/null || seq ${lines} | sed 's/^/line /'`),
    });
    const { result } = await runGuest({
      shell,
      diskMiB: 8,
      task: { version: "1.0", "repository-url": sources.url },
    });
    assert.deepEqual(statuses(result), ["fetch success", "update success"]);
    const log = logOf(result, "update");
    const [, left] = /\n\[\.\.\. (\d+) bytes left out \.\.\.\]\n/.exec(log) ?? [];
    assert.ok(left !== undefined);
    assert.match(log, /^\+ .croft\/update\nline 1\nline 2\n/);
    assert.ok(log.endsWith(`line ${lines - 1}\nline ${lines}`));
    const mark = `\n[... ${left} bytes left out ...]\n`.length;
    const printed = "+ .croft/update\n".length + "line \n".length * lines + digits(lines);
    assert.equal(log.length - mark + 1 + Number(left), printed);
    assert.ok(log.length < 1024 * 1024 + 100);
  });

for (const shell of shellsOf("dash"))
  test(`one endless line is bounded as well (${shell})`, async () => {
    await using sources = await serveSources();
    await packSource(sources, {
      ".croft/update": script("head -c 3000000 /dev/zero | tr '\\000' x", "printf '\\033[31mend'"),
    });
    const { result } = await runGuest({ shell, task: { version: "1.0", "repository-url": sources.url } });
    assert.match(logOf(result, "update"), /xxx\n\[\.\.\. \d+ bytes left out \.\.\.\]\nxxx[x]+end$/);
  });

for (const shell of shellsOf("busybox"))
  test(`warnings are found by the usual form and by the task's expressions, in the middle of a long log too (${shell})`, async () => {
    const compiler = await logOfOutput(shell, Buffer.from("a.c:1:2: warning: unused\n"));
    assert.equal(compiler.result.status, "warning");
    const own = { "warning-regex": `'^note [0-9]+$' other` };
    assert.equal((await logOfOutput(shell, Buffer.from("note 12\n"), own)).result.status, "warning");
    assert.equal((await logOfOutput(shell, Buffer.from("note x\n"), own)).result.status, "success");
    const filler = "nothing to see here\n".repeat(60_000);
    const middle = await logOfOutput(shell, Buffer.from(`${filler}ld: warning: bad\n${filler}`));
    assert.match(
      middle.log,
      /left out \.\.\.\]\n.* errors: 0, like warnings: 1; .*\n\[line 60002\] ld: warning: bad\n\[\.\.\.\]\n/,
    );
    assert.equal(middle.result.status, "warning");
    const red = "a.c:1: \x1b[01;35m\x1b[Kwarning: \x1b[m\x1b[Kbad\n".repeat(150);
    const errors = "y.rs:1: error[E0308]: types\nmake: *** [x] Error 1\nnote 7\nno error here\n";
    const many = await logOfOutput(shell, Buffer.from(`${filler}${red}${filler}${errors}${filler}`), own);
    assert.equal(many.result.status, "warning");
    assert.match(
      many.log,
      / errors: 2, like warnings: 151; the first 100 of each:\]\n\[line 60002\] a\.c:1: warning: bad\n/,
    );
    assert.match(
      many.log,
      /\n\[line 60101\] .*\n\[line 120152\] y\.rs.*\n\[line 120153\] make: .*\n\[\.\.\.\]\n/,
    );
  });

/** How many digits the numbers from 1 have together. */
function digits(last: number): number {
  let sum = 0;
  for (let from = 1; from <= last; from *= 10) sum += last - from + 1;
  return sum;
}
