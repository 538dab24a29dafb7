/** A page of the manual: beside its text the chapters, and those before and after it. */
import { html, Markup } from "../dashboard/html.ts";
import { page as wholePage } from "../dashboard/layout.ts";
import type { Visitor } from "../routes/visitor.ts";
import type { Chapter, Part } from "./contents.ts";
import type { Rendered } from "./render.ts";

interface Shown {
  name: string;
  page: Rendered;
  parts: readonly Part[];
}

/** The page. */
export function bookPage({ name, page, parts }: Shown, visitor: Visitor): string {
  const chapters = parts.flatMap((part) => part.chapters);
  const at = chapters.findIndex((chapter) => chapter.name === name);
  const before = name === "README" ? undefined : chapters[at - 1];
  const after = at >= 0 || name === "README" ? chapters[at + 1] : undefined;
  const content = html`<div class="book">
    <nav class="contents" aria-label="Manual">
      <p><a href="/docs" ${current(name === "README")}>Manual</a></p>
      ${parts.map((part) => partList(part, name, page))}
    </nav>
    <article>
      ${new Markup(page.html)}
      <nav class="turn" aria-label="Chapters">
        ${before && html`<a rel="prev" href="${addressOf(before)}">← ${before.title}</a>`}
        ${after && html`<a rel="next" href="${addressOf(after)}">${after.title} →</a>`}
      </nav>
    </article>
  </div>`;
  return wholePage(name === "README" ? "Manual" : `${page.title} · Manual`, content, visitor, "docs");
}

function partList({ title, chapters }: Part, name: string, page: Rendered): Markup {
  return html`<p class="quiet">${title}</p>
    <ul>
      ${chapters.map(
        (chapter) =>
          html`<li>
            <a href="${addressOf(chapter)}" ${current(chapter.name === name)}>${chapter.title}</a>
            ${chapter.name === name && sectionList(page)}
          </li>`,
      )}
    </ul>`;
}

function sectionList({ sections }: Rendered): Markup | false {
  return (
    sections.length > 0 &&
    html`<ul>
      ${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}
    </ul>`
  );
}

function current(isCurrent: boolean): Markup | false {
  return isCurrent && html`aria-current="page"`;
}

function addressOf({ name }: Chapter): string {
  return `/docs/${name}`;
}
