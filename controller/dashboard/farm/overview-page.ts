/** The farm at one look: what runs, what waits and why, what failed last, who builds, how the week went. */
import type { Build, BuildState } from "../../builds/build.ts";
import type { AgentState, KnownAgent } from "../../fleet/agents.ts";
import type { Pause } from "../../fleet/pauses.ts";
import { formatDuration } from "../../../os/text/duration.ts";
import { queueSeconds, secondsBetween } from "../../representation.ts";
import type { Visitor } from "../../routes/visitor.ts";
import { barChart, lineChart } from "../charts.ts";
import { html, type Markup } from "../html.ts";
import { ago, chip, duration, emptyFarm, packageLink, page, tableHead } from "../layout.ts";
import type { Day } from "./week.ts";

/** What the page shows. */
interface Look {
  counts: Record<BuildState, number>;
  building: readonly Build[];
  /** Those that are given out next, and why they wait. */
  waiting: readonly { build: Build; reason: string | undefined }[];
  failed: readonly Build[];
  agents: readonly KnownAgent[];
  pauses: readonly Pause[];
  week: readonly Day[];
}

/** The page. */
export function overviewPage(look: Look, visitor: Visitor): string {
  const { counts, building, waiting, failed } = look;
  const isEmpty = Object.values(counts).every((count) => count === 0);
  return page(
    "Overview",
    html`<h1>Overview</h1>
      <div id="overview" data-live data-changes="/api/v1/events">
        ${glance(look)}
        ${
          isEmpty
            ? emptyFarm()
            : html`<div class="columns">
                <div>
                  <section aria-labelledby="building-now">
                    <h2 id="building-now">Building now</h2>
                    ${building.length === 0 ? nothing("Nothing is being built.") : buildingTable(building)}
                  </section>
                  <section aria-labelledby="failed-last">
                    <h2 id="failed-last">Failed last</h2>
                    ${failed.length === 0 ? nothing("Nothing has failed.") : failedTable(failed)}
                  </section>
                </div>
                <div>
                  <section aria-labelledby="waiting-now">
                    <h2 id="waiting-now">Waiting</h2>
                    ${waiting.length === 0 ? nothing("Nothing waits.") : waitingTable(waiting)}
                  </section>
                  <section aria-labelledby="week">
                    <h2 id="week">This week</h2>
                    ${weekChart(look.week)}
                  </section>
                </div>
              </div>`
        }
      </div>`,
    visitor,
    "overview",
  );
}

function nothing(text: string): Markup {
  return html`<p class="empty small">${text}</p>`;
}

/** The numbers that tell how the farm is, each a way to more. */
function glance({ counts, agents, pauses, week }: Look): Markup {
  const of = (state: AgentState) => agents.filter((agent) => agent.state === state).length;
  const ended = week.reduce((sum, { good, warned, failed }) => sum + good + warned + failed, 0);
  const good = week.reduce((sum, { good, warned }) => sum + good + warned, 0);
  const tile = (href: string, value: string | number, name: string, more: Markup | string) =>
    html`<li>
      <a href="${href}"><b>${value}</b> ${name} <span class="quiet">${more}</span></a>
    </li>`;
  return html`<ul class="tiles">
      ${tile("/builds?state=building", counts.building, "building", "now")}
      ${tile("/builds?state=queued", counts.queued, "waiting", pauses.length > 0 ? `${pauses.length} paused` : "in the queue")}
      ${tile("/agents", agents.length - of("silent"), "agents", `${of("building")} build, ${of("idle")} idle${of("silent") > 0 ? `, ${of("silent")} silent` : ""}`)}
      ${tile("/builds?state=finished", ended === 0 ? "–" : `${Math.round((100 * good) / ended)} %`, "good", `of ${ended} this week`)}
    </ul>
    ${pauses.map((pause) => html`<p class="notice">${pauseText(pause)} <a href="/agents">See</a></p>`)}`;
}

/** Such as "All targets are paused: maintenance". */
export function pauseText({ kind, name, reason, paused_by }: Pause): string {
  const what =
    kind === "all" ? "All targets are" : kind === "agent" ? `The agent ${name} is` : `The target ${name} is`;
  return `${what} paused${paused_by === null ? "" : ` by ${paused_by}`}${reason === null ? "." : `: ${reason}`}`;
}

function buildingTable(builds: readonly Build[]): Markup {
  return html`<table>
    ${tableHead("Build", "Package", "Target", "For")}
    <tbody>
      ${builds.map(
        (build) =>
          html`<tr>
            <th scope="row"><a class="row" href="/builds/${build.id}">#${build.id}</a></th>
            <td>${packageLink(build)}</td>
            <td data-label="Target">${build.target}</td>
            <td data-label="For">${duration(secondsBetween(build.started_at, null), build.started_at)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function waitingTable(waiting: Look["waiting"]): Markup {
  return html`<table>
    ${tableHead("Build", "Package", "For", "Why it waits")}
    <tbody>
      ${waiting.map(
        ({ build, reason }) =>
          html`<tr>
            <th scope="row"><a class="row" href="/builds/${build.id}">#${build.id}</a></th>
            <td>${packageLink(build)} <span class="quiet">${build.target}</span></td>
            <td data-label="For">${duration(queueSeconds(build), build.queued_at)}</td>
            <td class="quiet">${reason}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function failedTable(builds: readonly Build[]): Markup {
  return html`<table>
    ${tableHead("Build", "Status", "Package", "Ended")}
    <tbody>
      ${builds.map(
        (build) =>
          html`<tr>
            <th scope="row"><a class="row" href="/builds/${build.id}">#${build.id}</a></th>
            <td>${chip(build.status ?? build.state)}</td>
            <td>${packageLink(build)} <span class="quiet">${build.target}</span></td>
            <td data-label="Ended">${ago(build.finished_at)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

const weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

function weekChart(week: readonly Day[]): Markup {
  const bars = week.map(({ day, good, warned, failed, waited }) => ({
    label: weekdays[new Date(`${day}T00:00:00Z`).getUTCDay()]!,
    ...{ good, doubtful: warned, bad: failed },
    title: `${day}: ${good} good, ${warned} with warnings, ${failed} failed; waited ${waited === null ? "–" : formatDuration(waited)}`,
  }));
  return html`<figure class="card wide">
    ${barChart(bars, bars.map(({ title }) => title).join("; "))}
    <figcaption class="legend">
      <span class="key good">good</span> <span class="key doubtful">with warnings</span>
      <span class="key bad">failed</span>
    </figcaption>
    ${waitsOf(week)}
  </figure>`;
}

/** How long builds waited, as far as any began. */
function waitsOf(week: readonly Day[]): Markup | false {
  const waits = week.flatMap(({ day, waited }) => (waited === null ? [] : [{ day, waited }]));
  const last = waits.at(-1);
  if (!last) return false;
  const points = waits.map(({ day, waited }) => ({
    value: waited,
    kind: "good" as const,
    title: `${day}: ${formatDuration(waited)}`,
  }));
  return html`<p class="caption">
      Median wait <b>${formatDuration(last.waited)}</b> <span class="quiet">on ${last.day}</span>
    </p>
    ${points.length > 1 && lineChart(points, `Median wait by day: ${points.map(({ title }) => title).join("; ")}`, formatDuration)}`;
}
