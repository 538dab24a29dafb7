/** A matrix of builds, such as a boss's run through the controller: targets by commits. */
import { visible } from "../../../os/text/visible.ts";
import type { Visitor } from "../../routes/visitor.ts";
import { html, type Markup } from "../html.ts";
import { page, shortChip } from "../layout.ts";
import { matrixOf, type CellBuild, type MatrixLook, type MatrixRow } from "./cells.ts";

/** Of a larger one the rows in which something has failed come first. */
const rowsShown = 300;

/** The page; there is a build at least. */
export function matrixPage(name: string, builds: readonly CellBuild[], visitor: Visitor): string {
  const look = matrixOf(builds);
  return page(
    name,
    html`<p class="path"><a href="/builds">Builds</a> / Matrix</p>
      <h1>${name}</h1>
      <div id="matrix" data-live data-changes="/api/v1/events">
        <p>${summary(look)}</p>
        ${table(look)}
        ${
          look.rows.length > rowsShown &&
          html`<p class="quiet">
            ${look.rows.length - rowsShown} more rows are not shown; rows in which something has failed come
            first.
          </p>`
        }
        <p class="pages"><a href="/builds?name=${encodeURIComponent(name)}">All its builds</a></p>
      </div>`,
    visitor,
    "builds",
  );
}

function summary({ builds, ended, failed }: MatrixLook): string {
  const of = `${ended} of ${builds} build${builds === 1 ? " has" : "s have"} ended`;
  return `${of}; ${failed === 0 ? "none" : failed} failed.`;
}

function table({ columns, rows }: MatrixLook): Markup {
  return html`<div class="wide">
    <table class="matrix">
      <thead>
        <tr>
          <th scope="col">Target</th>
          ${columns.map(({ title }) => html`<th scope="col" class="quiet">${visible(title)}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.slice(0, rowsShown).map(
          (row) =>
            html`<tr>
              <th scope="row">${row.name}</th>
              ${columns.map(({ column, title }) => cell(row, column, title))}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function cell({ name, cells }: MatrixRow, column: number, title: string): Markup {
  const build = cells.get(column);
  if (!build) return html`<td data-label="${title}"><span class="quiet">–</span></td>`;
  const status = build.status ?? build.state;
  return html`<td data-label="${title}">
    <a href="/builds/${build.id}" aria-label="#${build.id}, ${name}, ${title}: ${status}"
      >${shortChip(status)}</a
    >
  </td>`;
}
