/** What people read: tables, sizes, times, text in pages. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatDuration } from "../../../os/text/duration.ts";
import { escapeHtml } from "../../../os/text/html.ts";
import { formatBytes, GiB, KiB, MiB } from "../../../os/text/size.ts";
import { formatTable } from "../../../os/text/table.ts";

describe("a table", () => {
  test("has columns as wide as their widest cell, and no blanks at the ends of lines", () => {
    const rows = [
      ["NAME", "SIZE", "WHO"],
      ["a", "10 MiB", ""],
      ["longer", "1", "x"],
    ];
    assert.equal(formatTable(rows), "NAME    SIZE    WHO\na       10 MiB\nlonger  1       x\n");
  });

  test("counts characters, and not UTF-16 units", () => {
    assert.equal(
      formatTable([
        ["𝄞𝄞", "x"],
        ["ab", "y"],
      ]),
      "𝄞𝄞  x\nab  y\n",
    );
  });

  test("lets the last cell of a short row run on", () => {
    const rows = [
      ["host", "arch", "node"],
      ["a-long-name", "(there is no such host)"],
      ["b", "x86_64", "24"],
    ];
    assert.equal(
      formatTable(rows),
      "host         arch    node\na-long-name  (there is no such host)\nb            x86_64  24\n",
    );
  });

  test("of nothing is nothing", () => {
    assert.equal(formatTable([]), "");
  });
});

test("a size has one decimal below a hundred of its unit", () => {
  assert.deepEqual([0, 1023, KiB, 99.94 * MiB, 100 * MiB, 2.25 * GiB, 5000 * 1024 * GiB].map(formatBytes), [
    "0 bytes",
    "1023 bytes",
    "1.0 KiB",
    "99.9 MiB",
    "100 MiB",
    "2.3 GiB",
    "5000 TiB",
  ]);
});

test("a time is told in two units, and none is less than nothing", () => {
  assert.deepEqual([-5, 59.9, 86_399, 86_400, 100 * 3600].map(formatDuration), [
    "0s",
    "59s",
    "23h59m",
    "1d00h",
    "4d04h",
  ]);
});

test("text in a page opens no element and ends no attribute", () => {
  assert.equal(escapeHtml(`<a href="x" b='y'>&amp;`), "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;");
});
