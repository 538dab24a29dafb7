/** One build: what it is, its operations, its log, its artifacts. */
import { treeText } from "../../manifests/working-tree.ts";
import { maskCredentials } from "../../os/text/credentials.ts";
import { formatDuration } from "../../os/text/duration.ts";
import { formatBytes } from "../../os/text/size.ts";
import { visible } from "../../os/text/visible.ts";
import type { Controller } from "../controller.ts";
import {
  mainSession,
  queueSeconds,
  secondsBetween,
  type BuildDetails,
  type Operation,
} from "../representation.ts";
import type { Build } from "../builds/build.ts";
import type { Session } from "../builds/session.ts";
import type { Visitor } from "../routes/visitor.ts";
import { estimateText } from "../estimate-words.ts";
import { attemptsText } from "../setbacks.ts";
import { timeline, type Stretch } from "./charts.ts";
import { html, type Markup } from "./html.ts";
import { ago, chip, duration, fact, formToken, page, tableHead } from "./layout.ts";
import { logAddress } from "./log/log-page.ts";
import { logExcerpt, logOf, type LogExcerpt } from "./log/log-excerpt.ts";
import { positionText } from "./live.ts";
import { testResults } from "./test-results.ts";

/** The page for one attempt of a build, the one that tells what became of it unless another is asked for. */
export async function buildPage(
  controller: Controller,
  details: BuildDetails,
  visitor: Visitor,
  attempt?: number,
): Promise<string> {
  const { build, sessions } = details;
  const session =
    attempt === undefined
      ? mainSession(details)
      : sessions.find((candidate) => candidate.attempt === attempt);
  const operations = details.operations.filter((operation) => operation.session === session?.id);
  return page(
    `${build.name} #${build.id}`,
    html`<div id="summary" data-live>
        ${summary(details, session)} ${whenWhat(details)} ${visitor.mayChange && actions(build, visitor)}
      </div>
      <div id="operations" data-live>
        ${operations.length > 0 && operationTable(operations)}
        ${await Promise.all(operations.map((one) => operationLog(controller, details, session!, one, operations.length)))}
      </div>
      ${await liveLog(controller, details, session, operations.length > 0)}
      <div id="tests" data-live>${testResults(details.tests, session?.id)}</div>
      <div id="artifacts" data-live>${artifactList(details)}</div>
      <div id="attempts" data-live>${attemptList(details, session)}</div>`,
    visitor,
    "builds",
  );
}

function actions({ id, state, pinned }: Build, visitor: Visitor): Markup {
  const action = (path: string, name: string) =>
    html`<form method="post" action="/builds/${id}/${path}">
      ${formToken(visitor)}<button>${name}</button>
    </form>`;
  const isOver = state === "finished" || state === "cancelled";
  return html`<div class="buttons">
    ${isOver ? action("rebuild", "Build again") : action("cancel", "Cancel")}
    ${pinned ? action("unpin", "Unpin") : action("pin", "Pin")}
  </div>`;
}

function summary({ build, waiting: reason, estimate }: BuildDetails, session: Session | undefined): Markup {
  const { specification } = build;
  const waiting = build.state === "queued" ? build.queued_at : null;
  const took = build.state === "queued" ? null : secondsBetween(build.started_at, build.finished_at);
  return html`<p class="path">
      <a href="/builds">Builds</a> /
      ${build.submission !== null && html`<a href="/builds?submission=${build.submission}">Submission #${build.submission}</a> /`}
      #${build.id}
    </p>
    <h1>
      <a class="plain" href="/packages/${encodeURIComponent(build.name)}">${build.name}</a>
      <span class="quiet">${build.version}</span>
      <span id="state" data-state="${build.state}">${chip(build.status ?? build.state)}</span>
    </h1>
    <dl class="facts">
      ${fact("Target", html`<a href="/builds?target=${encodeURIComponent(build.target)}">${build.target}</a>`)}
      ${fact("Machine", session ? html`${session.machine} <span class="quiet">at ${session.agent}</span>` : specification.machine)}
      ${specification.auxiliary !== undefined && fact("With", auxiliaryMachines(session?.auxiliary ?? specification.auxiliary))}
      ${specification.variables !== undefined && fact("Variables", variableList(specification.variables), true)}
      ${fact("Repository", repository(maskCredentials(build.repository)), true)}
      ${fact("Submitted", html`${ago(build.created_at)}${build.submitted_by !== null && html` by ${build.submitted_by}`}`)}
      ${fact("Waited", duration(queueSeconds(build), waiting))}
      ${reason !== undefined && fact("It waits", reason)}
      ${estimate !== undefined && fact("Expected", estimateText(build.state, estimate))}
      ${fact("Built in", duration(took, build.state === "building" ? build.started_at : null))}
      ${build.attempts > 0 && fact("Attempts", attemptsText(build))}
      ${typeof build.same_as === "number" && fact("The same as", html`<a href="/builds/${build.same_as}">#${build.same_as}</a>`)}
      ${build.rebuild_of !== null && fact("Again", html`<a href="/builds/${build.rebuild_of}">#${build.rebuild_of}</a>`)}
    </dl>`;
}

/** When it waited, and when who built it. */
function whenWhat({ build, sessions }: BuildDetails): Markup | false {
  if (sessions.length === 0) return false;
  const end = (build.finished_at ?? new Date()).getTime();
  const stretches: Stretch[] = [];
  let from = build.created_at.getTime();
  const waits = (to: number) =>
    to > from &&
    stretches.push({ from, to, kind: "waits", title: `waited ${formatDuration((to - from) / 1000)}` });
  for (const { attempt, agent, machine, state, status, created_at, ended_at } of sessions) {
    waits(created_at.getTime());
    const to = Math.max(created_at.getTime(), (ended_at ?? new Date(end)).getTime());
    const what = `${status ?? state} after ${formatDuration((to - created_at.getTime()) / 1000)}`;
    const title = `attempt ${attempt} on ${machine} at ${agent}: ${what}`;
    stretches.push({ from: created_at.getTime(), to, kind: kindOf(status, state), title });
    from = Math.max(from, to);
  }
  if (build.state === "queued") waits(end);
  return timeline(stretches, stretches.map(({ title }) => title).join(", then "));
}

function kindOf(status: string | null, state: string): Stretch["kind"] {
  if (state === "active") return "runs";
  if (status === "success" || status === "skip") return "good";
  return status === "warning" ? "doubtful" : "bad";
}

/** Names of machines, or their patterns, by what the build calls them. */
function auxiliaryMachines(machines: Readonly<Record<string, string>>): string {
  return Object.entries(machines)
    .map(([name, machine]) => `${name}: ${machine}`)
    .join(", ");
}

function variableList(variables: Readonly<Record<string, string>>): Markup {
  return html`${Object.entries(variables).map(([name, value]) => html`<code>${name}=${value}</code> `)}`;
}

/** Only web addresses become links, and only whole ones; anything may be submitted. */
function repository(url: string): Markup {
  const text = (treeText(url) ?? url).replace(/\b([0-9a-f]{12})[0-9a-f]{28,52}\b/g, "$1…");
  if (!/^https?:\/\/(?!\*)/i.test(url)) return html`<span title="${url}">${text}</span>`;
  return html`<a href="${url}" title="${url}" rel="noreferrer">${text}</a>`;
}

function operationTable(operations: readonly Operation[]): Markup {
  const row = (one: Operation) =>
    html`<tr>
      <th scope="row"><a href="#operation-${one.ordinal}">${one.name}</a></th>
      <td>${chip(one.status)}</td>
      <td data-label="Errors">${one.errors > 0 ? html`<b class="error-text">${one.errors}</b>` : "0"}</td>
      <td data-label="Warnings">
        ${one.warnings > 0 ? html`<b class="warning-text">${one.warnings}</b>` : "0"}
      </td>
      <td data-label="Log">${several(one.log_lines, "line")}, ${formatBytes(one.log_bytes)}</td>
    </tr>`;
  return html`<h2>Operations</h2>
    <table>
      ${tableHead("Operation", "Status", "Errors", "Warnings", "Log")}
      <tbody>
        ${operations.map(row)}
      </tbody>
    </table>`;
}

async function operationLog(
  controller: Controller,
  { build }: BuildDetails,
  { attempt }: Session,
  operation: Operation,
  logs: number,
): Promise<Markup> {
  const log = logOf(controller.blobs, operation);
  const excerpt = await logExcerpt(log, `o${operation.ordinal}`, logs);
  const address = `/api/v1/builds/${build.id}/log?attempt=${attempt}&operation=${encodeURIComponent(operation.name)}`;
  const whole = logAddress(build.id, attempt, operation.ordinal);
  const open = !["success", "skip"].includes(operation.status);
  return html`<details class="log-box" id="operation-${operation.ordinal}" ${open && html`open`}>
    <summary>
      ${operation.name} ${chip(operation.status)}
      <span class="counts">${counts(operation.errors, operation.warnings)}</span>
    </summary>
    <p class="tools">
      <a href="${whole}">Whole log</a> <a href="${address}">As text</a>
      <a href="${address}" download="${operation.name}.log">Download</a>
    </p>
    ${problemList(excerpt, operation, whole)} ${skippedNote(excerpt)}
    <div class="log" tabindex="0" role="region" aria-label="Log of ${operation.name}">
      ${excerpt.lines}${excerpt.tail}
    </div>
  </details>`;
}

const problemsListed = 8;

/** Links to the lines that matter, errors first; to the whole log for those that are not in the excerpt, or are too many. */
function problemList({ problems }: LogExcerpt, operation: Operation, whole: string): Markup | false {
  const kind = operation.errors > 0 ? "error" : "warning";
  const shown = problems.filter(({ severity }) => severity === kind).slice(0, problemsListed);
  const all = (severity: "error" | "warning"): Markup | false => {
    const count = operation[`${severity}s`];
    if (count <= (severity === kind ? shown.length : 0)) return false;
    return html`<li class="${severity}-text">
      <a href="${whole}?severity=${severity}"
        >${count === 1 ? `The ${severity}` : `All ${several(count, severity)}`} in the whole log</a
      >
    </li>`;
  };
  const [errors, warnings] = [all("error"), all("warning")];
  if (shown.length === 0 && !errors && !warnings) return false;
  return html`<ul class="problems">
    ${shown.map(({ id, severity, text }) => html`<li class="${severity}-text"><a href="#${id}">${text}</a></li>`)}
    ${errors} ${warnings}
  </ul>`;
}

function several(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function counts(errors: number, warnings: number): Markup {
  return html`${errors > 0 && html`<span class="error-text">${several(errors, "error")}</span>`}
  ${warnings > 0 && html`<span class="warning-text">${several(warnings, "warning")}</span>`}`;
}

function skippedNote({ skipped }: LogExcerpt): Markup | false {
  return (
    skipped > 0 && html`<p class="quiet skipped">${several(skipped, "earlier line")} in the whole log.</p>`
  );
}

/** The log as the machine printed it: open while it grows, folded once there is a result. */
async function liveLog(
  controller: Controller,
  { build, sessions }: BuildDetails,
  session: Session | undefined,
  hasResult: boolean,
): Promise<Markup> {
  const ended = build.state === "finished" || build.state === "cancelled";
  const attempt = session?.attempt ?? 0;
  const excerpt = await logExcerpt(controller.liveLogs.source(session?.id ?? 0), `a${attempt}`);
  if (ended && excerpt.position.offset === 0 && excerpt.tail.text === "") return html``;
  const follows = !ended && session === mainSession({ build, sessions });
  const address = `/api/v1/builds/${build.id}/log?kind=live${session ? `&attempt=${attempt}` : ""}`;
  const live = `/builds/${build.id}/live?from=${positionText(session?.id ?? 0, excerpt.position)}`;
  return html`<details class="log-box" id="live" ${!(ended && hasResult) && html`open`}>
    <summary>
      Live log
      <span class="counts" id="live-note">${follows && html`<span class="pulse">following</span>`}</span>
    </summary>
    <p class="tools">
      <a href="${address}">Whole log</a> <a href="${address}" download="build-${build.id}.log">Download</a>
      ${follows && html`<label><input type="checkbox" id="follow" checked /> Follow</label>`}
    </p>
    ${skippedNote(excerpt)}
    <div
      class="log"
      id="live-log"
      tabindex="0"
      role="log"
      aria-label="Live log"
      aria-live="off"
      ${follows && html`data-follow="${live}"`}
    >
      <div id="live-lines">${excerpt.lines}</div>
      <div id="live-tail">${excerpt.tail}</div>
    </div>
    ${follows && excerpt.position.offset === 0 && html`<p class="quiet" id="waiting">Nothing printed yet.</p>`}
  </details>`;
}

function artifactList({ build, artifacts, sessions }: BuildDetails): Markup | false {
  if (artifacts.length === 0) return false;
  const attemptOf = new Map(sessions.map(({ id, attempt }) => [id, attempt]));
  return html`<h2>Artifacts</h2>
    <table class="artifacts">
      ${tableHead("Name", "Type", "Size", "SHA-256", "Attempt")}
      <tbody>
        ${artifacts.map(
          (one) =>
            html`<tr>
              <th scope="row">
                <a href="/api/v1/builds/${build.id}/artifacts/${one.digest}/${encodeURIComponent(one.name)}"
                  >${visible(one.name)}</a
                >
              </th>
              <td data-label="Type">${one.type}</td>
              <td data-label="Size">${formatBytes(one.bytes)}</td>
              <td data-label="SHA-256"><code class="digest">${one.digest}</code></td>
              <td data-label="Attempt">${attemptOf.get(one.session)}</td>
            </tr>`,
        )}
      </tbody>
    </table>`;
}

function attemptList({ build, sessions }: BuildDetails, shown: Session | undefined): Markup | false {
  if (sessions.length < 2) return false;
  return html`<h2>Attempts</h2>
    <table>
      ${tableHead("Attempt", "Result", "Machine", "Agent", "Took", "Started")}
      <tbody>
        ${sessions.map(
          (session) =>
            html`<tr ${session === shown && html`aria-current="true"`}>
              <th scope="row">
                <a href="/builds/${build.id}?attempt=${session.attempt}">${session.attempt}</a>
              </th>
              <td>
                ${session.status === null ? session.state : chip(session.status)}
                ${session.fault !== null && html`<span class="quiet">${session.fault}</span>`}
              </td>
              <td data-label="Machine">${session.machine}</td>
              <td data-label="Agent">${session.agent}</td>
              <td data-label="Took">${duration(secondsBetween(session.created_at, session.ended_at))}</td>
              <td data-label="Started">${ago(session.created_at)}</td>
            </tr>`,
        )}
      </tbody>
    </table>`;
}
