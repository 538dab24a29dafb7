/**
 * Ways to leak a secret by what a build prints, and which of them are stopped. What is not is said in docs/secrets.md: whoever
 * gives a build a secret trusts its code.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { lastOf, takeChunk } from "../../../controller/files/live-log-chunk.ts";
import { maskedText, maskSecrets } from "../../../controller/files/secret-mask.ts";
import { printedForms, shortestSecret } from "../../../controller/secrets/printed-forms.ts";

const secret = "S3cr'et/Tök+en 42";
const manyLines = "-----BEGIN KEY-----\nAAAAB3NzaC1yc2EAAAA\nZm9vYmFyYmF6cXV4\n-----END KEY-----";
const quoted = 'a "quoted" pass"word';
const forms = printedForms([secret, manyLines, quoted]);
const base64 = (text: string) => Buffer.from(text).toString("base64");
const hex = (text: string) => Buffer.from(text).toString("hex");
const folded = (text: string, width: number) => text.replace(new RegExp(`.{${width}}`, "gs"), "$&\n");

/** What is printed, and what a reader would take the secret from. */
const stopped: [way: string, printed: string, telling: string][] = [
  ["echo", secret, secret],
  ["in the middle of a line", `key=${secret};`, secret],
  ["set -x", `+ login --token='${secret.replaceAll("'", `'\\''`)}'`, secret.replaceAll("'", `'\\''`)],
  ["env", `HOME=/root\nTOKEN=${secret}\nCI=true\n`, secret],
  ["an error message", `error: cannot log in with "${secret}": 401`, secret],
  ["twice on a line", `${secret}${secret}`, secret],
  ["base64", base64(secret), base64(secret).slice(0, 20)],
  ["base64 behind one byte", base64(`x${secret}`), base64(`x${secret}`).slice(4, 20)],
  ["base64 behind two bytes", base64(`xy${secret}`), base64(`xy${secret}`).slice(4, 20)],
  [
    "base64 in a header",
    `Authorization: Basic ${base64(`ann:${secret}`)}`,
    base64(`ann:${secret}`).slice(6, 20),
  ],
  [
    "base64 for URLs",
    Buffer.from(secret).toString("base64url"),
    Buffer.from(secret).toString("base64url").slice(0, 20),
  ],
  ["base64 in lines of 8", folded(base64(secret), 8), folded(base64(secret), 8)],
  ["hexadecimal", hex(secret), hex(secret)],
  ["hexadecimal, in capitals", hex(secret).toUpperCase(), hex(secret).toUpperCase()],
  ["a URL", `https://x.org/?t=${encodeURIComponent(secret)}`, encodeURIComponent(secret)],
  ["JSON", JSON.stringify({ token: quoted }), 'pass\\"word'],
  ["backwards", [...secret].reverse().join(""), [...secret].reverse().join("")],
  ["a letter a line", folded(secret, 1), folded(secret, 1)],
  ["lines of three letters, with carriage returns", folded(secret, 3).replaceAll("\n", "\r\n"), "r'e\r\nt/T"],
  ["coloured in the middle", `${secret.slice(0, 5)}\x1b[31m${secret.slice(5)}\x1b[0m`, secret.slice(5)],
  ["all lines of a key", manyLines, "AAAAB3NzaC1yc2EAAAA"],
  ["one line of a key", "Zm9vYmFyYmF6cXV4", "Zm9vYmFyYmF6cXV4"],
  ["a name of an artifact", `dist/${secret.replaceAll("/", "-")}/${secret}.tar.gz`, secret],
  ["the package's version", `1.0+${secret}`, secret],
];

/** What nobody can stop who does not know what the build does; each would need no more than a line in it. */
const passing: [way: string, printed: string][] = [
  ["letters with blanks between them", [...secret].join(" ")],
  [
    "rot13",
    secret.replace(/[a-z]/gi, (c) =>
      String.fromCharCode(c.charCodeAt(0) + (c.toLowerCase() < "n" ? 13 : -13)),
    ),
  ],
  ["base64 twice", base64(base64(secret))],
  ["compressed", gzipSync(secret).toString("latin1")],
  ["half of it, and something else after it", `${secret.slice(0, secret.length / 2)} `],
  ["its length and checksum", `${secret.length} characters`],
];

for (const [way, printed, telling] of stopped)
  test(`stopped: ${way}`, () => {
    const shown = maskedText(printed, forms);
    assert.equal(Buffer.byteLength(shown), Buffer.byteLength(printed), "who sends a log counts its bytes");
    assert.ok(printed.includes(telling), "what is looked for was there");
    assert.ok(!shown.includes(telling), shown);
  });

for (const [way, printed] of passing)
  test(`not stopped, as the manual says: ${way}`, () => {
    assert.equal(maskedText(printed, forms), printed);
  });

test("stopped: split over pieces of any length, at any place, also in base64 and over ends of lines", () => {
  for (const text of [secret, base64(secret), folded(secret, 4)]) {
    const whole = Buffer.from(`before ${text} after`);
    for (let size = 1; size <= 9; size++) {
      let held = Buffer.alloc(0);
      let shown = "";
      for (let at = 0; at < whole.length; at += size) {
        const bytes = Buffer.concat([held, whole.subarray(at, at + size)]);
        const open = maskSecrets(bytes, forms);
        shown += bytes.toString("latin1", 0, bytes.length - open);
        held = Buffer.from(bytes.subarray(bytes.length - open));
      }
      shown += held.toString("latin1");
      assert.ok(shown.startsWith("before **"), `${size}: ${shown}`);
      assert.ok(shown.endsWith(" after"), `${size}: ${shown}`);
      assert.ok(!/[A-Za-z0-9]/.test(shown.slice(7, -6)), `${size}: ${shown}`);
    }
  }
});

test("stopped: a secret that the end of the log cuts, whether the build ended it or the controller's limit", () => {
  const beginning = secret.slice(0, -2);
  for (const printed of [beginning, `${beginning}\n`, base64(secret).slice(0, 12), folded(beginning, 4)]) {
    const end = { written: 0, held: Buffer.alloc(0) };
    const chunk = Buffer.from(`key ${printed}`);
    const taken = takeChunk(end, { offset: 0, chunk, secrets: forms }, 1000);
    assert.ok("write" in taken && taken.held.length > 0);
    const shown = Buffer.concat([taken.write, lastOf(taken.held)]).toString();
    assert.match(shown, /^key [*\n]+$/);
    assert.equal(Buffer.byteLength(shown), chunk.length);
    assert.match(maskedText(`key ${printed}`, forms), /^key [*\n]+$/);
    const cut = takeChunk(end, { offset: 0, chunk, secrets: forms }, chunk.length - 3);
    assert.match("write" in cut ? cut.write.toString() : "", /^key [*\n]+\[croft: the log is longer/);
  }
  // Logs end with words, too: what may be the beginning of any secret is left.
  assert.equal(maskedText("make check: S3c", forms), "make check: S3c");
});

test("what is no secret stays as it is; what is too short to be told from a word is none", () => {
  const log = "make: *** [all] Error 2\n\x1b[31mred\x1b[0m\r\n";
  assert.equal(maskedText(log, forms), log);
  assert.deepEqual(printedForms(["a".repeat(shortestSecret - 1)]), []);
});
