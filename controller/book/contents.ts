/** The manual as one book: `docs/README.md` says what its parts and chapters are, and in which order. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packageFile } from "../../os/files/package.ts";

/** The page that lies beside `docs/`, not in it. */
export const changelog = "CHANGELOG";

/** A chapter, or a page that chapters refer to. */
export interface Chapter {
  /** Of the file in `docs/`, without `.md`: also its address below `/docs/`. */
  name: string;
  title: string;
}

/** Chapters under a heading. */
export interface Part {
  title: string;
  chapters: readonly Chapter[];
}

const listed = /^- \[([^\]]+)\]\(([\w/-]+)\.md\)/;

/** The parts, from the text of `docs/README.md`: headings, and lists of links below them. */
export function partsOf(contents: string): Part[] {
  const parts: { title: string; chapters: Chapter[] }[] = [];
  for (const line of contents.split("\n")) {
    const heading = /^## (.*)/.exec(line);
    if (heading) parts.push({ title: heading[1]!, chapters: [] });
    const chapter = listed.exec(line);
    if (chapter) parts.at(-1)?.chapters.push({ title: chapter[1]!, name: chapter[2]! });
  }
  return parts.filter(({ chapters }) => chapters.length > 0);
}

/** All pages by name, read once: the contents are `README`. */
export function readPages(): ReadonlyMap<string, string> {
  const names = readdirSync(packageFile("docs"), { recursive: true, encoding: "utf8" });
  return new Map(
    names
      .filter((name) => name.endsWith(".md"))
      .map((name) => [name.slice(0, -".md".length), readFileSync(packageFile("docs", name), "utf8")]),
  );
}

/** Files of the manual that are no pages, by their paths in `docs/`: rules, boards, configurations and a schema for other programs. */
export function readAttachments(): ReadonlyMap<string, Buffer> {
  const names = ["balancers", "monitoring"].flatMap((directory) =>
    readdirSync(packageFile("docs", directory)).map((name) => join(directory, name)),
  );
  return new Map(
    [...names, "croft-yaml.schema.json"].map((name) => [name, readFileSync(packageFile("docs", name))]),
  );
}
