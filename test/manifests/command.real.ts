/** `croft manifest` as a program. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { packageFile } from "../../os/files/package.ts";
import { run, type RunResult } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { inputOf, parseVectors, serializeVectors } from "./vectors.ts";

function croftManifest(args: string[], input: string | Uint8Array = ""): Promise<RunResult> {
  return run([process.execPath, packageFile("bin", "main.ts"), "manifest", ...args], {
    timeoutSeconds: 300,
    input,
    accept: [1, 2],
    keepBytes: 64 * 1024 * 1024,
  });
}

describe("croft manifest", () => {
  test("tokens prints pairs, or the error and its place with status 1", async () => {
    for (const name of ["multi-24-crlf", "utf8-24-in-comment", "version-07-via-continuation"]) {
      const vector = parseVectors.find((one) => one.name === name)!;
      const { status, stdout } = await croftManifest(["tokens", "-"], inputOf(vector));
      const { ok, pairs, line, column, error } = vector;
      assert.equal(status, ok ? 0 : 1);
      assert.deepEqual(JSON.parse(stdout), ok ? { ok, pairs } : { ok, line, column, error });
    }
  });

  test("serialize prints the text byte for byte", async () => {
    for (const name of ["break-soft", "break-soft-long", "stream-comment-first", "value-nbsp-edges"]) {
      const { pairs, longLines, comments, text } = serializeVectors.find((one) => one.name === name)!;
      const options = [...(longLines ? ["--long-lines"] : []), ...(comments ? ["--comments"] : [])];
      const { stdout } = await croftManifest(["serialize", ...options, "-"], JSON.stringify(pairs));
      assert.equal(stdout, text);
    }
  });

  test("serialize gives back what tokens took apart, even if it is large", async () => {
    await using directory = await temporaryDirectory("croft-test-");
    const file = join(directory.path, "log");
    const text = `: 1\nname: a\nlog:\n\\\n${"a line of a log: \u{1f600} é\n".repeat(200_000)}\n\\\n`;
    await writeFile(file, text);
    const { stdout: tokens } = await croftManifest(["tokens", file]);
    const { status, stdout } = await croftManifest(["serialize", "-"], tokens);
    assert.equal(status, 0);
    assert.ok(stdout === text, "the text is the same");
  });

  test("check says file, line and column", async () => {
    await using directory = await temporaryDirectory("croft-test-");
    const file = join(directory.path, "machine");
    await writeFile(file, ": 1\nid: a-1\nname: a\nsummary: s\ntype: kvm\ncolour: red\n");
    const strict = await croftManifest(["check", "--type", "machine", file]);
    assert.deepEqual([strict.status, strict.stderr], [1, `${file}:6:1: unknown name 'colour'\n`]);
    const lenient = await croftManifest(["check", "--lenient", "--type", "machine", file]);
    assert.deepEqual([lenient.status, lenient.stdout, lenient.stderr], [0, "", ""]);
  });

  test("what cannot be done is one clear line", async () => {
    const cases: [args: string[], input: string, status: number, line: RegExp][] = [
      [["tokens", "/nowhere/x"], "", 1, /^croft: Cannot read '\/nowhere\/x': no such file or directory\n$/],
      [["serialize", "-"], "[[", 1, /^croft: Cannot serialize standard input: it is no JSON: [^\n]*\n$/],
      [["serialize", "-"], '[["a"]]', 1, /^croft: Cannot serialize standard input: pair 1 is not [^\n]*\n$/],
      [
        ["serialize", "-"],
        '[["a","b"]]',
        1,
        /^croft: Cannot [^\n]*: pair 1: format version pair expected\n$/,
      ],
      [["tokens"], "", 2, /^croft: Cannot use the command line: [^\n]*\n$/],
      [["check", "--type", "x", "-"], "", 2, /^croft: Cannot use the command line: [^\n]*\n$/],
      [["tokens", "--odd", "-"], "", 2, /^croft: Cannot use the command line: [^\n]*\n$/],
    ];
    for (const [args, input, status, line] of cases) {
      const result = await croftManifest(args, input);
      assert.equal(result.status, status, args.join(" "));
      assert.match(result.stderr, line);
    }
  });
});
