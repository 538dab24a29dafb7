/** What forges told of: the list, with what waits for approval first, and one event with its builds. */
import { mayAct } from "../authentication/tokens.ts";
import type { Build } from "../builds/build.ts";
import type { EventRow } from "../forges/forge-events.ts";
import type { LaterBuild } from "../forges/later-builds.ts";
import type { Visitor } from "../routes/visitor.ts";
import { html, type Markup } from "./html.ts";
import { ago, chip, fact, formToken, page, tableHead } from "./layout.ts";

/** Whether who looks at a page may have a fork's pull request built. */
export function mayApprove({ person }: Visitor): boolean {
  return person !== undefined && mayAct(person, "trusted");
}

/** The page of all. */
export function eventsPage(events: readonly EventRow[], visitor: Visitor): string {
  const rows = events.map(
    (one) =>
      html`<tr>
        <th scope="row"><a class="row" href="/events/${one.id}">${one.id}</a></th>
        <td>${stateOf(one)}</td>
        <td>${one.repository}</td>
        <td data-label="What">${whatOf(one)}</td>
        <td data-label="Subject">${one.event.subject}</td>
        <td data-label="Came">${ago(one.created_at)}</td>
      </tr>`,
  );
  return page(
    "Events",
    html`<h1>Events</h1>
      ${
        rows.length === 0
          ? html`<p class="empty">No forge has told of anything yet.</p>`
          : html`<table>
              ${tableHead("Event", "State", "Repository", "What", "Subject", "Came")}
              <tbody>
                ${rows}
              </tbody>
            </table>`
      }`,
    visitor,
    "events",
  );
}

/** The page of one. */
export function eventPage(
  row: EventRow,
  builds: readonly Build[],
  later: readonly LaterBuild[],
  visitor: Visitor,
): string {
  const { event } = row;
  return page(
    `Event ${row.id}`,
    html`<p class="path"><a href="/events">Events</a> / ${row.id}</p>
      <h1>${row.repository}: ${whatOf(row)} ${stateOf(row)}</h1>
      <dl class="facts">
        ${event.subject !== "" && fact("Subject", event.subject)}
        ${event.author !== "" && fact("By", event.author)}
        ${event.commit !== "" && fact("Commit", event.commit)} ${fact("Came", ago(row.created_at))}
        ${event.pull && fact("From", event.pull.from ?? "a repository that is gone")}
        ${event.pull && fact("Into", event.pull.base)}
        ${row.decided_by !== null && fact("Decided by", row.decided_by)}
      </dl>
      ${row.trouble !== null && row.state !== "built" && html`<p class="error-text" role="status">${row.trouble}</p>`}
      ${buttons(row, visitor)} ${buildList(builds, later)}`,
    visitor,
    "events",
  );
}

function buttons({ id, state }: EventRow, visitor: Visitor): Markup {
  const form = (path: string, name: string, isMain = false) =>
    html`<form method="post" action="/events/${id}/${path}">
      ${formToken(visitor)}<button ${isMain && html`class="main"`}>${name}</button>
    </form>`;
  if (state === "waiting" && mayApprove(visitor))
    return html`<p class="quiet">
        A stranger's code: look at it first. Approved, this one commit is built, without trust.
      </p>
      <div class="buttons">${form("approve", "Approve", true)} ${form("reject", "Refuse")}</div>`;
  if (state === "waiting")
    return html`<p class="quiet">It waits until somebody whose token has the role 'trusted' approves it.</p>`;
  if (state === "failed" && visitor.mayChange)
    return html`<div class="buttons">${form("read-again", "Read .croft.yaml again")}</div>`;
  return html``;
}

function buildList(builds: readonly Build[], later: readonly LaterBuild[]): Markup {
  const waiting = later.filter(({ state }) => state !== "queued");
  if (builds.length + waiting.length === 0) return html``;
  return html`<h2>Builds</h2>
    <table>
      ${tableHead("Build", "State", "Package", "Target")}
      <tbody>
        ${builds.map(
          (build) =>
            html`<tr>
              <th scope="row"><a class="row" href="/builds/${build.id}">#${build.id}</a></th>
              <td>${chip(build.status ?? build.state)}</td>
              <td>${build.name} <span class="quiet">${build.version}</span></td>
              <td data-label="Target">${build.target}</td>
            </tr>`,
        )}
        ${waiting.map(
          ({ name, needs, state, reason }) =>
            html`<tr>
              <th scope="row">${name}</th>
              <td>${state === "skipped" ? chip("skip") : chip("queued")}</td>
              <td colspan="2" class="quiet">${reason ?? `waits for ${needs.join(", ")}`}</td>
            </tr>`,
        )}
      </tbody>
    </table>`;
}

const words: Record<EventRow["state"], string> = {
  reading: "queued",
  built: "success",
  waiting: "interrupt",
  rejected: "cancelled",
  superseded: "cancelled",
  failed: "error",
};

/** In the colours of builds, with a word of its own. */
function stateOf({ state }: EventRow): Markup {
  const word = state === "waiting" ? "waits for approval" : state;
  return html`<span class="chip ${words[state]}">${word}</span>`;
}

function whatOf({ event: { kind, reference } }: EventRow): string {
  if (kind === "pull-request") return `pull request ${reference}`;
  return kind === "push" ? `branch ${reference}` : `${kind} ${reference}`;
}
