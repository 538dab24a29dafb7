/** Agents, targets and machines: what each does now, and who is held back. */
import type { KnownAgent } from "../../fleet/agents.ts";
import type { Overview, TargetState } from "../../fleet/overview.ts";
import type { Pause, PauseKind } from "../../fleet/pauses.ts";
import { isAdministrator, type Visitor } from "../../routes/visitor.ts";
import { html, type Markup } from "../html.ts";
import { ago, duration, formToken, page, tableHead } from "../layout.ts";
import { pauseText } from "./overview-page.ts";

/** What the page shows. */
interface FleetLook {
  agents: readonly KnownAgent[];
  targets: readonly TargetState[];
  machines: Awaited<ReturnType<Overview["machines"]>>;
  pauses: readonly Pause[];
}

/** The page. */
export function fleetPage(look: FleetLook, visitor: Visitor): string {
  const all = look.pauses.find(({ kind }) => kind === "all");
  return page(
    "Agents",
    html`<h1>Agents and machines</h1>
      <div id="fleet" data-live data-changes="/api/v1/events">
        ${all && html`<p class="notice">${pauseText(all)}</p>`}
        ${isAdministrator(visitor) && html`<div class="buttons">${pauseForm(visitor, "all", "", all, "everything")}</div>`}
        <h2>Agents</h2>
        ${agentTable(look, visitor)}
        <h2>Targets</h2>
        ${targetTable(look, visitor)}
        <h2>Machines</h2>
        ${machineTable(look)}
      </div>`,
    visitor,
    "agents",
  );
}

/** With a reason or without; each its own form, as it works without script. */
function pauseForm(
  visitor: Visitor,
  kind: PauseKind,
  name: string,
  pause: Pause | undefined,
  what: string,
): Markup {
  const hidden = html`${formToken(visitor)}<input type="hidden" name="kind" value="${kind}" /><input
      type="hidden"
      name="name"
      value="${name}"
    />`;
  if (pause)
    return html`<form method="post" action="/agents/resume">
      ${hidden}<button aria-label="Resume ${what}">${kind === "all" ? "Resume everything" : "Resume"}</button>
    </form>`;
  return html`<form method="post" action="/agents/pause" class="inline">
    ${hidden}<input
      name="reason"
      placeholder="Reason"
      aria-label="Reason to pause ${what}"
      maxlength="500"
    /><button aria-label="Pause ${what}">${kind === "all" ? "Pause everything" : "Pause"}</button>
  </form>`;
}

function stateChip(state: KnownAgent["state"], pause: Pause | undefined): Markup {
  const kinds = { building: "building", idle: "success", silent: "interrupt" } as const;
  return html`<span class="chip ${kinds[state]}">${state}</span
    >${pause && html` <span class="chip warning">paused</span>`}`;
}

function pauseOf(pauses: readonly Pause[], wanted: PauseKind, of: string): Pause | undefined {
  return pauses.find(({ kind, name }) => kind === wanted && name === of);
}

function agentTable({ agents, pauses }: FleetLook, visitor: Visitor): Markup {
  if (agents.length === 0)
    return html`<p class="empty">
      No agent has asked for a task yet. See <a href="/docs/first-farm">a first farm</a> for how one is
      started.
    </p>`;
  const row = (agent: KnownAgent) => {
    const pause = pauseOf(pauses, "agent", agent.name);
    return html`<tr>
      <th scope="row"><a href="/builds?agent=${encodeURIComponent(agent.name)}">${agent.name}</a></th>
      <td>
        ${stateChip(agent.state, pause)} ${pause?.reason && html`<span class="quiet">${pause.reason}</span>`}
      </td>
      <td data-label="Builds">
        ${agent.builds.length === 0 && html`<span class="quiet">–</span>`}
        ${agent.builds.map(
          ({ build, name, machine, since }) =>
            html`<div>
              <a href="/builds/${build}">#${build} ${name}</a>
              <span class="quiet"
                >on ${machine} for ${duration((Date.now() - since.getTime()) / 1000, since)}</span
              >
            </div>`,
        )}
      </td>
      <td data-label="Machines">${agent.offer.machines.join(", ")}</td>
      <td data-label="Version">${agent.version ?? "not croft"}</td>
      <td data-label="Heard of">${ago(agent.heardAt)}</td>
      ${isAdministrator(visitor) && html`<td>${pauseForm(visitor, "agent", agent.name, pause, `the agent ${agent.name}`)}</td>`}
    </tr>`;
  };
  const columns = ["Agent", "State", "Builds", "Machines", "Version", "Heard of"];
  return html`<table>
    ${tableHead(...columns, ...(isAdministrator(visitor) ? ["Pause"] : []))}
    <tbody>
      ${agents.map(row)}
    </tbody>
  </table>`;
}

function targetTable({ targets, pauses }: FleetLook, visitor: Visitor): Markup {
  const row = ({ name, target, queued, building, finished, idleAgents, oldest, pause }: TargetState) =>
    html`<tr>
      <th scope="row"><a href="/builds?target=${encodeURIComponent(name)}">${name}</a></th>
      <td>
        ${pause && html`<span class="chip warning">paused</span> <span class="quiet">${pause.reason}</span>`}
        ${!target && html`<span class="quiet">not configured any more</span>`}
      </td>
      <td data-label="Waiting">${queued}</td>
      <td data-label="Longest">
        ${oldest ? duration((Date.now() - oldest.queuedAt.getTime()) / 1000, oldest.queuedAt) : "–"}
      </td>
      <td data-label="Building">
        ${building}${target?.limit !== undefined && html` <span class="quiet">of ${target.limit}</span>`}
      </td>
      <td data-label="Ended">${finished}</td>
      <td data-label="Idle agents">${idleAgents}</td>
      ${isAdministrator(visitor) && html`<td>${pauseForm(visitor, "target", name, pauseOf(pauses, "target", name), `the target ${name}`)}</td>`}
    </tr>`;
  const columns = ["Target", "State", "Waiting", "Longest", "Building", "Ended", "Idle agents"];
  return html`<table>
    ${tableHead(...columns, ...(isAdministrator(visitor) ? ["Pause"] : []))}
    <tbody>
      ${targets.map(row)}
    </tbody>
  </table>`;
}

function machineTable({ machines }: FleetLook): Markup {
  if (machines.length === 0) return html`<p class="empty">No agent has offered a machine yet.</p>`;
  return html`<table>
    ${tableHead("Machine", "Agents that have it")}
    <tbody>
      ${machines.map(
        ({ name, agents }) =>
          html`<tr>
            <th scope="row">${name}</th>
            <td>
              ${agents.map(
                ({ agent, state, toolchain }) =>
                  html`<div>
                    ${agent} ${stateChip(state, undefined)} <span class="quiet">${toolchain}</span>
                  </div>`,
              )}
            </td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}
