/** The whole log of an operation: by pages, with a search and a list of what it reports. */
import type { BuildDetails, Operation } from "../../representation.ts";
import type { Visitor } from "../../routes/visitor.ts";
import { html, type Markup } from "../html.ts";
import { chip, page } from "../layout.ts";
import { linesShown, type LogPart, type Sought } from "./whole-log.ts";

/** What the page shows. */
interface Shown {
  details: BuildDetails;
  attempt: number;
  operation: Operation;
  part: LogPart;
  sought: Sought;
}

/** Where the page of an operation's log is. */
export function logAddress(build: number, attempt: number, ordinal: number): string {
  return `/builds/${build}/logs/${attempt}/${ordinal}`;
}

/** The page. */
export function logPage(
  { details: { build }, attempt, operation, part, sought }: Shown,
  visitor: Visitor,
): string {
  const base = logAddress(build.id, attempt, operation.ordinal);
  const raw = `/api/v1/builds/${build.id}/log?attempt=${attempt}&operation=${encodeURIComponent(operation.name)}`;
  const reports = (severity: "error" | "warning", count: number) =>
    count > 0 &&
    html`<a class="${severity}-text" href="${base}?severity=${severity}"
      >${count} ${severity}${count === 1 ? "" : "s"}</a
    >`;
  return page(
    `${operation.name} · ${build.name} #${build.id}`,
    html`<p class="path">
        <a href="/builds">Builds</a> /
        <a href="/builds/${build.id}?attempt=${attempt}">${build.name} #${build.id}</a> / ${operation.name}
      </p>
      <h1>${operation.name} ${chip(operation.status)}</h1>
      <form class="search" method="get" action="${base}" role="search">
        <input
          type="search"
          name="text"
          value="${sought.text ?? ""}"
          aria-label="Search in the log"
          maxlength="200"
        />
        <button>Search</button>
        ${reports("error", operation.errors)} ${reports("warning", operation.warnings)}
        <a href="${raw}">As text</a> <a href="${raw}" download="${operation.name}.log">Download</a>
      </form>
      ${foundList(base, operation, part, sought)} ${ways(base, part)}
      <div class="log whole" tabindex="0" role="region" aria-label="Log of ${operation.name}">
        ${part.lines}
      </div>
      ${ways(base, part)}`,
    visitor,
    "builds",
  );
}

function foundList(
  base: string,
  { ordinal }: Operation,
  { found, foundCount }: LogPart,
  sought: Sought,
): Markup | false {
  if ((sought.text ?? "") === "" && sought.severity === undefined) return false;
  const what = sought.text
    ? `with "${sought.text}"`
    : `with ${sought.severity === "error" ? "errors" : "warnings"}`;
  const more = foundCount > found.length ? `, the first ${found.length}` : "";
  return html`<section class="card wide" aria-label="Lines found">
    <p>${foundCount} line${foundCount === 1 ? "" : "s"} ${what}${more}${foundCount > 0 && ":"}</p>
    <ol class="problems">
      ${found.map(
        ({ line, text }) =>
          html`<li value="${line}">
            <a href="${base}?from=${Math.max(1, line - 20)}#o${ordinal}-L${line}"
              >${text.trim() === "" ? "(blank)" : text}</a
            >
          </li>`,
      )}
    </ol>
  </section>`;
}

/** To the other lines. */
function ways(base: string, { first, total }: LogPart): Markup | false {
  const last = Math.min(total, first + linesShown - 1);
  if (first === 1 && last === total) return false;
  const to = (from: number, text: string, rel = "") =>
    html`<a href="${base}?from=${from}" ${rel !== "" && html`rel="${rel}"`}>${text}</a>`;
  return html`<nav class="pages" aria-label="Lines">
    ${first > 1 && html`${to(1, "First")} ${to(Math.max(1, first - linesShown), "Earlier", "prev")}`}
    <span class="quiet">Lines ${first} to ${last} of ${total}</span>
    ${last < total && html`${to(last + 1, "Later", "next")} ${to(Math.max(1, total - linesShown + 1), "Last")}`}
  </nav>`;
}
