/** The manual is one book: its links lead somewhere, every page is reached, and what it quotes is said somewhere. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { partsOf, readPages } from "../../controller/book/contents.ts";
import { renderPage } from "../../controller/book/render.ts";
import { packageFile } from "../../os/files/package.ts";

const read = (path: string) => readFileSync(packageFile(path), "utf8");
const documents = [
  ...["README.md", "CONTRIBUTING.md", "CHANGELOG.md"],
  ...[...readPages().keys()].map((name) => `docs/${name}.md`),
];
const anchors = new Map(
  documents.map((path) => {
    const name = path.replace(/^docs\/|\.md$/g, "");
    const found = renderPage(name, read(path)).html.matchAll(/<h\d id="([^"]*)"/g);
    return [path, new Set([...found].map(([, id]) => id))];
  }),
);

/** The links of a document in Markdown, without those in code. */
function linksOf(path: string): string[] {
  const prose = read(path)
    .replace(/^( *)```.*?^\1```$/gms, "")
    .replace(/`[^`]*`/g, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
}

describe("the manual", () => {
  test("has no link that leads nowhere, neither to a file nor to a heading", () => {
    let count = 0;
    for (const document of documents)
      for (const target of linksOf(document).filter((each) => !/^https?:/.test(each))) {
        const [path = "", anchor] = target.split("#");
        const file = path === "" ? document : join(dirname(document), path);
        assert.ok(existsSync(packageFile(file)), `${document}: ${target}`);
        if (anchor !== undefined) assert.ok(anchors.get(file)?.has(anchor), `${document}: ${target}`);
        count++;
      }
    assert.ok(count > 100, String(count));
  });

  test("has every page in its contents, but the decisions, which it speaks of as a whole", () => {
    const listed = partsOf(read("docs/README.md")).flatMap(({ chapters }) =>
      chapters.map(({ name }) => name),
    );
    assert.equal(new Set(listed).size, listed.length);
    const pages = [...readPages().keys()].filter(
      (name) => name !== "README" && !name.startsWith("decisions/"),
    );
    assert.deepEqual(listed.toSorted(), pages.toSorted());
  });

  test("explains only messages that croft has", () => {
    const rooms = ["agent", "bin", "boss", "controller", "machines", "os", "worker"];
    const sources = rooms.flatMap((room) =>
      readdirSync(packageFile(room), { recursive: true, encoding: "utf8" })
        .filter((name) => /\.(ts|js)$/.test(name))
        .map((name) => read(join(room, name))),
    );
    // As they are written there: an oldest version is a value.
    const all = sources.join("\n").replaceAll("${oldest}", "24");
    const rows = read("docs/troubleshooting.md").matchAll(/^\| (`.*?) \| /gm);
    const quoted = [...rows].flatMap(([, cell]) =>
      [...cell!.matchAll(/`([^`]*)`/g)].map(([, words]) => words!),
    );
    assert.ok(quoted.length > 20, String(quoted.length));
    for (const words of quoted) assert.ok(all.includes(words), words);
  });
});
