/** `npm run docs`: writes the generated parts of the manual again; a test proves that they are current. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { sharedSections } from "../agent/settings/manual.ts";
import { formatMarkdown, replacePart } from "../os/manual/markdown.ts";
import { dateOf, formatRoff } from "../os/manual/roff.ts";
import { packageFile } from "../os/files/package.ts";
import { sentence, type ManualPage } from "../os/manual/page.ts";
import { manualPages } from "./pages.ts";

const manual = packageFile("docs", "agent.md");

/** The files as they should be, by path, made from what is there: a page that stays the same keeps its date. */
export async function manualFiles(today: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const page of await manualPages()) {
    const path = packageFile("docs", "man", `${page.name}.${page.section}`);
    const before = read(path);
    const unchanged = formatRoff(page, dateOf(before) ?? today);
    files.set(path, unchanged === before ? before : formatRoff(page, today));
  }
  let text = read(manual);
  for (const [name, { blocks }] of Object.entries(sharedSections))
    text = replacePart(text, name, formatMarkdown(blocks));
  files.set(packageFile("docs", "commands.md"), commandsChapter(await manualPages()));
  return files.set(manual, text);
}

/** All commands in one chapter of the manual, but those that have chapters of their own. */
function commandsChapter(pages: readonly ManualPage[]): string {
  const own: Record<string, string> = { "croft-agent": "agent.md", "croft-boss": "boss.md" };
  const chapters = pages
    .filter(({ name }) => name !== "croft")
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const parts = chapters.map(({ name, summary, sections }) => {
    const head = `## ${name.replaceAll("-", " ")}\n\n${sentence(summary)}`;
    if (own[name]) return `${head} It has [a chapter of its own](${own[name]}).`;
    const shown = sections.filter(({ title }) => !["Synopsis", "See also"].includes(title));
    return [head, ...shown.map(({ title, blocks }) => `**${title}**\n\n${formatMarkdown(blocks)}`)].join(
      "\n\n",
    );
  });
  const made = "<!-- Made from the declarations of the commands: npm run docs -->";
  const begin =
    "# Commands\n\nWhat each takes, as `croft COMMAND --help` and its page of the manual say, too.";
  return `${made}\n\n${begin}\n\n${parts.join("\n\n")}\n`;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const [path, content] of await manualFiles(new Date().toISOString().slice(0, 10)))
    writeFileSync(path, content);
