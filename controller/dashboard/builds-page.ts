/** The list of builds: what was submitted together stands together. */
import { resultStatuses } from "../../manifests/result-status.ts";
import type { Build, BuildState } from "../builds/build.ts";
import { mostCounted, type BuildFilter } from "../builds/listed.ts";
import { shortEstimate, type Estimated } from "../estimate-words.ts";
import { queueSeconds, secondsBetween } from "../representation.ts";
import type { Visitor } from "../routes/visitor.ts";
import { ago, chip, duration, emptyFarm, listPages, packageLink, page, tableHead } from "./layout.ts";
import { html, type Markup } from "./html.ts";

type Filter = Omit<BuildFilter, "limit" | "publicOnly">;

/** What the page shows. */
export interface BuildList {
  builds: readonly Build[];
  counts: Record<BuildState, number>;
  filter: Filter;
  targets: readonly string[];
  /** What is to be expected of those that have not ended, by id. */
  estimates: ReadonlyMap<number, Estimated>;
  /** There are older ones. */
  more: boolean;
}

/** The page. */
export function buildsPage(list: BuildList, visitor: Visitor): string {
  const { builds, estimates, filter, more } = list;
  const last = builds.at(-1);
  return page(
    "Builds",
    html`<h1>Builds</h1>
      <div id="filters" data-live>${tabs(list)}</div>
      ${search(list)}
      <section id="list" data-live data-changes="/api/v1/events" aria-label="Builds">
        ${builds.length === 0 ? nothing(filter) : table(builds, estimates)}
      </section>
      ${listPages(
        filter.before === undefined ? undefined : address({ ...filter, before: undefined }),
        more && last ? address({ ...filter, before: last.id }) : undefined,
      )}`,
    visitor,
    "builds",
  );
}

function tabs({ counts, filter }: BuildList): Markup {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const shown = (count: number) =>
    Object.values(counts).every((one) => one <= mostCounted) || !isNarrowed(filter)
      ? count
      : count > mostCounted
        ? `${mostCounted}+`
        : count;
  const tab = (state: string | undefined, name: string, count: number) =>
    html`<a
      href="${address({ ...filter, state, before: undefined })}"
      ${filter.state === state && html`aria-current="page"`}
      >${name} <span class="count">${shown(count)}</span></a
    >`;
  return html`<nav class="tabs" aria-label="State">
      ${tab(undefined, "All", total)} ${tab("queued", "Queued", counts.queued)}
      ${tab("building", "Building", counts.building)} ${tab("finished", "Finished", counts.finished)}
      ${tab("cancelled", "Cancelled", counts.cancelled)}
    </nav>
    ${isNarrowed(filter) && narrowed(filter)}`;
}

const names = {
  text: "with",
  name: "package",
  target: "target",
  status: "status",
  agent: "agent",
  submission: "submission",
  since: "since",
  until: "until",
} as const;
type Narrowing = keyof typeof names;

function isNarrowed(filter: Filter): boolean {
  return (Object.keys(names) as Narrowing[]).some((name) => filter[name] !== undefined);
}

function narrowed(filter: Filter): Markup {
  const given = (Object.keys(names) as Narrowing[]).filter((name) => filter[name] !== undefined);
  return html`<p class="narrowed">
    Only ${given.map((name) => html`${names[name]} <b>${filter[name]}</b> `)}·
    <a href="${address({ state: filter.state })}">show all</a>
  </p>`;
}

/** A form that works without script: what it asks for stands in the address. */
function search({ filter, targets }: BuildList): Markup {
  const choice = (name: string, label: string, values: readonly string[], chosen: string | undefined) =>
    html`<label>
      ${label}
      <select name="${name}">
        <option value="">any</option>
        ${values.map((value) => html`<option ${value === chosen && html`selected`}>${value}</option>`)}
      </select>
    </label>`;
  const day = (name: "since" | "until", label: string) =>
    html`<label>${label} <input type="date" name="${name}" value="${filter[name] ?? ""}" /></label>`;
  const kept = (["state", "name", "submission"] as const).filter((name) => filter[name] !== undefined);
  const isOpen = ["target", "status", "agent", "since", "until"].some(
    (name) => filter[name as Narrowing] !== undefined,
  );
  return html`<form class="search" method="get" action="/builds" role="search">
    ${kept.map((name) => html`<input type="hidden" name="${name}" value="${filter[name]!}" />`)}
    <input
      type="search"
      name="text"
      value="${filter.text ?? ""}"
      placeholder="Package, version, repository, #number"
      aria-label="Search"
      maxlength="200"
    />
    <button>Search</button>
    <details ${isOpen && html`open`}>
      <summary>Filters</summary>
      <div class="filters">
        ${choice("target", "Target", targets, filter.target)}
        ${choice("status", "Status", resultStatuses, filter.status)}
        <label>Agent <input name="agent" value="${filter.agent ?? ""}" maxlength="200" /></label>
        ${day("since", "Since")} ${day("until", "Until")}
      </div>
    </details>
  </form>`;
}

function nothing(filter: BuildList["filter"]): Markup {
  if (Object.values(filter).some((value) => value !== undefined))
    return html`<p class="empty">No build is like that.</p>`;
  return emptyFarm();
}

function table(builds: readonly Build[], estimates: BuildList["estimates"]): Markup {
  const groups = Map.groupBy(builds, ({ submission, id }) => submission ?? id);
  return html`<table class="builds">
    ${tableHead("Build", "State", "Package", "Target", "Waited", "Built in", "Submitted")}
    ${[...groups].map(
      ([submission, group]) =>
        html`<tbody ${group.length > 1 && html`class="together"`}>
          ${group.length > 1 && heading(submission, group)}
          ${group.map((build) => row(build, estimates.get(build.id)))}
        </tbody>`,
    )}
  </table>`;
}

/** What was submitted together, in one line. */
function heading(submission: number, group: readonly Build[]): Markup {
  const [first] = group;
  const kinds = Map.groupBy(group, ({ status, state }) => status ?? state);
  const isOne = group.every(({ name, version }) => name === first!.name && version === first!.version);
  return html`<tr class="heading">
    <th colspan="7" scope="rowgroup">
      <a href="/builds?submission=${submission}">Submission #${submission}</a>
      ${isOne && html`<b>${first!.name}</b> <span class="quiet">${first!.version}</span>`}
      ${[...kinds].map(([kind, some]) => html`<span class="tally">${chip(kind)} ${some.length > 1 && html`<span class="quiet">× ${some.length}</span>`}</span>`)}
      ${first!.submitted_by !== null && html`<span class="quiet">by ${first!.submitted_by}</span>`}
    </th>
  </tr>`;
}

function row(build: Build, estimate: Estimated | undefined): Markup {
  const building = build.state === "building";
  const expected = estimate ? shortEstimate(estimate) : "";
  const note = expected !== "" && html` <span class="quiet">${expected}</span>`;
  const took = build.state === "queued" ? null : secondsBetween(build.started_at, build.finished_at);
  return html`<tr>
    <th scope="row"><a class="row" href="/builds/${build.id}">#${build.id}</a></th>
    <td>${chip(build.status ?? build.state)}</td>
    <td>${packageLink(build)} <span class="quiet">${build.version}</span></td>
    <td data-label="Target"><a href="${address({ target: build.target })}">${build.target}</a></td>
    <td data-label="Waited">
      ${duration(queueSeconds(build), build.state === "queued" ? build.queued_at : null)}${!building && note}
    </td>
    <td data-label="Built in">${duration(took, building ? build.started_at : null)}${building && note}</td>
    <td data-label="Submitted">${ago(build.created_at)}</td>
  </tr>`;
}

type Query = { [Name in keyof Filter]?: Filter[Name] | undefined };

function address(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) parameters.set(name, String(value));
  const text = parameters.toString();
  return text === "" ? "/builds" : `/builds?${text}`;
}
