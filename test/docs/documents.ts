/** The documents of the project, taken apart: fenced blocks, and `code` in running text. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packageFile } from "../../os/files/package.ts";

/** Lines between fences, or words in backquotes. */
export interface Code {
  /** Such as `docs/boss.md:12`. */
  place: string;
  /**
   * Of a block, as its fence says: `sh`, `console` for a session with `$ ` before what is typed, `yaml`…; "" if it does
   * not say.
   */
  language: string;
  text: string;
}

export interface Document {
  path: string;
  blocks: Code[];
  spans: Code[];
}

/** What comes with the package, and what is for those who work on it. */
export function documents(): Document[] {
  const inDocs = readdirSync(packageFile("docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name));
  return ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", ...inDocs.sort()].map((path) =>
    takeApart(path, readFileSync(packageFile(path), "utf8")),
  );
}

const fenced = /^( *)```(\S*)\n(.*?)^\1```$/gms;
const paragraph = /(?:^.*\S.*$\n?)+/gm;

export function takeApart(path: string, text: string): Document {
  const place = (index: number) => `${path}:${text.slice(0, index).split("\n").length}`;
  const blocks = [...text.matchAll(fenced)].map((block) => ({
    place: place(block.index),
    language: block[2]!,
    text: block[3]!.replaceAll(new RegExp(`^${block[1]}`, "gm"), ""),
  }));
  // What stays keeps its place; a span may go on in the next line.
  const prose = text.replace(fenced, (block) => block.replace(/[^\n]/g, " "));
  const spans = [...prose.matchAll(paragraph)].flatMap(({ 0: words, index }) =>
    [...words.matchAll(/`([^`]+)`/g)].map((span) => ({
      place: place(index + span.index),
      language: "",
      text: span[1]!.replace(/\s*\n\s*/g, " "),
    })),
  );
  return { path, blocks, spans };
}
