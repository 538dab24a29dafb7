/** How a badge is drawn. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { resultStatuses } from "../../../manifests/result-status.ts";
import { badge } from "../../../controller/dashboard/badge.ts";

describe("a badge", () => {
  test("is one picture, whole in itself: it loads, links and runs nothing", () => {
    for (const status of [...resultStatuses, undefined]) {
      const picture = badge("hello", status);
      assert.match(picture, /^<svg\s+xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
      assert.doesNotMatch(
        picture.replace("http://www.w3.org/2000/svg", ""),
        /href|src|url\((?!#)|style|script|:\/\//,
      );
      assert.match(picture, new RegExp(`<title>hello: ${status ?? "no build yet"}</title>`));
    }
  });

  test("tells good, doubtful and bad by colour, each of which white letters can be read on", () => {
    const colourOf = (status: (typeof resultStatuses)[number] | undefined) =>
      /fill="(#[0-9a-f]{6})" \/>\s*<\/g>/.exec(badge("x", status))![1]!;
    const colours = ["success", "warning", "error", undefined].map((status) => colourOf(status as "success"));
    assert.equal(new Set(colours).size, 4);
    for (const colour of [...colours, "#3b4440"]) assert.ok(contrastToWhite(colour) >= 4.5, colour);
  });

  test("is as wide as its text, and takes no name for markup", () => {
    const widthOf = (label: string) => Number(/ width="(\d+)"/.exec(badge(label, "success"))![1]);
    assert.ok(widthOf("a-much-longer-name") > widthOf("a"));
    assert.ok(widthOf("mmmm") > widthOf("iiii"));
    assert.doesNotMatch(badge(`<script>"&`, "success"), /<script>|"&"/);
  });
});

/** WCAG 2.2: (L1 + 0.05) / (L2 + 0.05), of relative luminances. */
function contrastToWhite(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 1.05 / (0.2126 * red! + 0.7152 * green! + 0.0722 * blue! + 0.05);
}
