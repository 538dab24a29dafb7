/** Pages of the manual from Markdown to HTML, by markdown-it: HTML in them stays text, and links stay in the book. */
import { posix } from "node:path";
import MarkdownIt from "markdown-it";
import { changelog } from "./contents.ts";

const markdown = new MarkdownIt({ html: false, linkify: false });
type Tokens = ReturnType<typeof markdown.parse>;
const { rules } = markdown.renderer;

// What is wider than the window can be moved by the keyboard, too.
rules["table_open"] = () => `<div class="wide" tabindex="0"><table>`;
rules["table_close"] = () => `</table></div>`;
rules["fence"] = (tokens, index) =>
  `<pre tabindex="0"><code>${markdown.utils.escapeHtml(tokens[index]!.content)}</code></pre>\n`;

/** A page ready to be shown. */
export interface Rendered {
  title: string;
  html: string;
  /** Headings below the title. */
  sections: readonly { id: string; title: string }[];
}

/**
 * Renders a page.
 *
 * @param name its path in `docs/`, without `.md`; `README` is the book's beginning
 */
export function renderPage(name: string, text: string): Rendered {
  // Marks of generated parts
  const tokens = markdown.parse(text.replace(/^<!--.*?-->\n?/gms, ""), {});
  const sections: { id: string; title: string }[] = [];
  const used = new Map<string, number>();
  let title = name;
  for (const [index, token] of tokens.entries()) {
    if (token.type === "inline") retarget(token.children ?? [], name);
    if (token.type !== "heading_open") continue;
    const words = plainText(tokens[index + 1]!.children ?? []);
    const id = anchorOf(words, used);
    token.attrSet("id", id);
    if (token.tag === "h1") title = words;
    if (token.tag === "h2") sections.push({ id, title: words });
  }
  return { title, html: markdown.renderer.render(tokens, {}, {}), sections };
}

/** The anchor of a heading, as forges make it of its words; the second of the same words gets a number. */
function anchorOf(words: string, used: Map<string, number>): string {
  const anchor = words
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(/\s/g, "-");
  const before = used.get(anchor) ?? 0;
  used.set(anchor, before + 1);
  return before === 0 ? anchor : `${anchor}-${before}`;
}

function plainText(tokens: Tokens): string {
  return tokens.map(({ type, content }) => (/^(text|code_inline)$/.test(type) ? content : "")).join("");
}

/** Links to files of `docs/` become links to their pages; others of the project are not among them. */
function retarget(tokens: Tokens, name: string): void {
  for (const token of tokens.filter(({ type }) => type === "link_open")) {
    const target = addressOf(token.attrGet("href") ?? "", name);
    token.attrSet("href", target);
    if (/^[a-z]+:/i.test(target)) token.attrSet("rel", "noreferrer");
  }
}

/** Where a link of a page leads: below `/docs`, or elsewhere. */
export function addressOf(href: string, name: string): string {
  if (/^([a-z]+:|\/|#)/i.test(href)) return href;
  const [path = "", anchor] = href.split("#");
  const file = posix.join(name === changelog ? "." : posix.dirname(`docs/${name}`), path);
  const below = file.replace(/^docs\//, "").replace(/\.md$/, "");
  const page = below === "README" ? "" : `/${below}`;
  return `/docs${page}${anchor === undefined ? "" : `#${anchor}`}`;
}
