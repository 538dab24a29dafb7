/** A package's history: how it stands for each target, what was asked for when, and how long it took. */
import { formatDuration } from "../../../os/text/duration.ts";
import type { Build } from "../../builds/build.ts";
import { secondsBetween } from "../../representation.ts";
import type { Visitor } from "../../routes/visitor.ts";
import { lineChart } from "../charts.ts";
import { html, type Markup } from "../html.ts";
import { ago, chip, duration, page, shortChip } from "../layout.ts";
import {
  breaksOf,
  ended,
  isGood,
  revisionOf,
  standing,
  submissionsOf,
  type SubmissionRow,
} from "./package-builds.ts";

const rowsShown = 40;
const pointsShown = 40;

/** The page; there is a build at least. */
export function packagePage(name: string, builds: readonly Build[], visitor: Visitor): string {
  const rows = submissionsOf(builds, rowsShown);
  const targets = [...new Set(builds.map(({ target }) => target))].sort();
  const status = standing(builds);
  return page(
    name,
    html`<p class="path"><a href="/builds">Builds</a> / Package</p>
      <h1>${name} ${status && chip(status)}</h1>
      <div id="history" data-live data-changes="/api/v1/events">
        ${breaks(builds)}
        <h2>Builds</h2>
        ${matrix(rows, targets)}
        <p class="pages"><a href="/builds?name=${encodeURIComponent(name)}">All builds of ${name}</a></p>
        <h2>How long it takes</h2>
        ${durations(builds, targets)}
      </div>`,
    visitor,
    "builds",
  );
}

function breaks(builds: readonly Build[]): Markup | false {
  const broken = breaksOf(builds);
  if (broken.length === 0) return false;
  return html`<ul class="breaks">
    ${broken.map(
      ({ target, first, lastGood }) =>
        html`<li>
          <b>${target}</b> has failed since <a href="/builds/${first.id}">#${first.id}</a> ${label(first)},
          ${ago(first.finished_at)};
          ${lastGood ? html`<a href="/builds/${lastGood.id}">#${lastGood.id}</a> ${label(lastGood)} was good.` : "none before it was good."}
        </li>`,
    )}
  </ul>`;
}

function label({ version, repository }: Build): Markup {
  const revision = revisionOf(repository);
  return html`${version !== "0" && version} ${revision !== undefined && html`<code>${revision}</code>`}`;
}

function matrix(rows: readonly SubmissionRow[], targets: readonly string[]): Markup {
  const cell = (build: Build | undefined, target: string) =>
    html`<td data-label="${target}">
      ${build ? html`<a href="/builds/${build.id}" aria-label="#${build.id}, ${target}: ${build.status ?? build.state}">${shortChip(build.status ?? build.state)}</a>` : html`<span class="quiet">–</span>`}
    </td>`;
  return html`<div class="wide">
    <table class="matrix">
      <thead>
        <tr>
          <th scope="col">Submission</th>
          ${targets.map((target) => html`<th scope="col">${target}</th>`)}
          <th scope="col">When</th>
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          ({ id, builds, newest }) =>
            html`<tr>
              <th scope="row"><a class="row" href="/builds?submission=${id}">#${id}</a> ${label(newest)}</th>
              ${targets.map((target) => cell(builds.get(target), target))}
              <td data-label="When">${ago(newest.created_at)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function durations(builds: readonly Build[], targets: readonly string[]): Markup {
  const charts = targets.flatMap((target) => {
    const own = ended(builds)
      .filter((build) => build.target === target && build.started_at !== null)
      .slice(0, pointsShown)
      .reverse();
    if (own.length < 2) return [];
    const took = own.map((build) => secondsBetween(build.started_at, build.finished_at) ?? 0);
    const points = own.map((build, index) => ({
      value: took[index]!,
      kind: !isGood(build)
        ? ("bad" as const)
        : build.status === "warning"
          ? ("doubtful" as const)
          : ("good" as const),
      title: `#${build.id}: ${build.status} in ${formatDuration(took[index]!)}`,
    }));
    const sorted = took.toSorted((one, other) => one - other);
    const middle = sorted[Math.floor(sorted.length / 2)]!;
    return [
      html`<figure class="card">
        <figcaption>
          <b>${target}</b>
          <span class="quiet">last ${duration(took.at(-1)!)}, in the middle ${duration(middle)}</span>
        </figcaption>
        ${lineChart(points, `${target}: ${own.length} builds, from ${formatDuration(sorted[0]!)} to ${formatDuration(sorted.at(-1)!)}`, formatDuration)}
      </figure>`,
    ];
  });
  if (charts.length === 0) return html`<p class="empty small">Two builds of a target have to end first.</p>`;
  return html`<div class="columns">${charts}</div>`;
}
