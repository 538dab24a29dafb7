/** The list of builds. */
import type { Build, BuildState } from "../builds/build.ts";
import type { BuildFilter } from "../builds/builds.ts";
import { queueSeconds, secondsBetween } from "../representation.ts";
import type { Visitor } from "../routes/visitor.ts";
import { ago, chip, duration, page, tableHead } from "./layout.ts";
import { html, type Markup } from "./html.ts";

/** What the page shows. */
export interface BuildList {
  builds: readonly Build[];
  counts: Record<BuildState, number>;
  filter: Omit<BuildFilter, "limit">;
  /** There are older ones. */
  more: boolean;
}

/** The page. */
export function buildsPage(list: BuildList, visitor: Visitor): string {
  const { builds, filter, more } = list;
  const last = builds.at(-1);
  return page(
    "Builds",
    html`<h1>Builds</h1>
      <div id="filters" data-live>${filters(list)}</div>
      <section id="list" data-live data-changes="/api/v1/events" aria-label="Builds">
        ${builds.length === 0 ? nothing(filter) : table(builds)}
      </section>
      <nav class="pages" aria-label="Pages">
        ${filter.before !== undefined && html`<a href="${address({ ...filter, before: undefined })}">Newest</a>`}
        ${more && last && html`<a rel="next" href="${address({ ...filter, before: last.id })}">Older</a>`}
      </nav>`,
    visitor,
  );
}

function filters({ counts, filter }: BuildList): Markup {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const tab = (state: string | undefined, name: string, count: number) =>
    html`<a
      href="${address({ ...filter, state, before: undefined })}"
      ${filter.state === state && html`aria-current="page"`}
      >${name} <span class="count">${count}</span></a
    >`;
  return html`<nav class="tabs" aria-label="State">
      ${tab(undefined, "All", total)} ${tab("queued", "Queued", counts.queued)}
      ${tab("building", "Building", counts.building)} ${tab("finished", "Finished", counts.finished)}
      ${tab("cancelled", "Cancelled", counts.cancelled)}
    </nav>
    ${
      [filter.name, filter.target, filter.status].some((value) => value !== undefined) &&
      html`<p class="narrowed">
        Only ${filter.name !== undefined && html`package <b>${filter.name}</b>`}
        ${filter.target !== undefined && html`target <b>${filter.target}</b>`}
        ${filter.status !== undefined && html`status <b>${filter.status}</b>`} ·
        <a href="${address({ state: filter.state })}">show all</a>
      </p>`
    }`;
}

function nothing(filter: BuildList["filter"]): Markup {
  if (Object.values(filter).some((value) => value !== undefined))
    return html`<p class="empty">No build is like that.</p>`;
  return html`<div class="empty">
    <p>No build yet. Submit the first one:</p>
    <pre>croft submit https://example.org/hello.git --follow</pre>
  </div>`;
}

function table(builds: readonly Build[]): Markup {
  return html`<table class="builds">
    ${tableHead("Build", "State", "Package", "Target", "Waited", "Built in", "Submitted")}
    <tbody>
      ${builds.map(row)}
    </tbody>
  </table>`;
}

function row(build: Build): Markup {
  const building = build.state === "building";
  const took = build.state === "queued" ? null : secondsBetween(build.started_at, build.finished_at);
  return html`<tr>
    <th scope="row"><a class="row" href="/builds/${build.id}">#${build.id}</a></th>
    <td>${chip(build.status ?? build.state)}</td>
    <td>
      <a href="${address({ name: build.name })}"><b>${build.name}</b></a>
      <span class="quiet">${build.version}</span>
    </td>
    <td data-label="Target"><a href="${address({ target: build.target })}">${build.target}</a></td>
    <td data-label="Waited">
      ${duration(queueSeconds(build), build.state === "queued" ? build.queued_at : null)}
    </td>
    <td data-label="Built in">${duration(took, building ? build.started_at : null)}</td>
    <td data-label="Submitted">${ago(build.created_at)}</td>
  </tr>`;
}

type Query = { [Name in keyof Omit<BuildFilter, "limit">]?: BuildFilter[Name] | undefined };

function address(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) parameters.set(name, String(value));
  const text = parameters.toString();
  return text === "" ? "/builds" : `/builds?${text}`;
}
