/** The form for a submission. */
import type { Failure } from "../../os/failure.ts";
import type { Visitor } from "../routes/visitor.ts";
import { html, type Markup } from "./html.ts";
import { formToken, page } from "./layout.ts";

/** What the page shows. */
interface SubmitForm {
  visitor: Visitor;
  targets: readonly string[];
  /** What was filled in before. */
  fields: Readonly<Record<string, string | string[] | undefined>>;
  /** Why that could not be submitted. */
  trouble?: Failure;
}

/** The page. */
export function submitPage({ visitor, targets, fields, trouble }: SubmitForm): string {
  const field = (name: string, label: string, hint: Markup | string, attributes: Markup = html``) =>
    html`<label for="${name}">${label}</label>
      <input
        id="${name}"
        name="${name}"
        value="${textOf(fields[name])}"
        aria-describedby="${name}-hint"
        ${attributes}
      />
      <p class="quiet hint" id="${name}-hint">${hint}</p>`;
  return page(
    "Submit",
    html`<h1>Submit</h1>
      <form class="card" method="post" action="/submit">
        ${formToken(visitor)} ${trouble && complaint(trouble)}
        ${field("repository", "Repository", "URL of a git repository, perhaps with #BRANCH or #COMMIT, or of an archive.", html`required autofocus`)}
        ${targets.length > 1 && targetChoice(targets, fields["targets"])}
        <details ${hasMore(fields) && html`open`}>
          <summary>More</summary>
          ${field("name", "Package", "Default: from the URL.")}
          ${field("version", "Version", "Default: 0, unknown.")}
          ${field("machine", "Machine", "Only on machines of such a name; * and ? stand for others.")}
          ${field("environment", "Environment", "Inside of the machine.")}
          ${field("config", "Configuration", "Arguments for the package's configuration.")}
        </details>
        <p class="buttons"><button class="main">Submit</button></p>
      </form>`,
    visitor,
    "submit",
  );
}

function complaint({ message, hints }: Failure): Markup {
  return html`<div role="alert">
    <p class="error-text">${message}</p>
    ${hints.map((hint) => html`<p class="quiet">${hint}</p>`)}
  </div>`;
}

/** All are chosen until a person chooses. */
function targetChoice(targets: readonly string[], given: string | string[] | undefined): Markup {
  const chosen = given === undefined ? targets : [given].flat();
  return html`<fieldset>
    <legend>Targets</legend>
    ${targets.map(
      (target) =>
        html`<label
          ><input
            type="checkbox"
            name="targets"
            value="${target}"
            ${chosen.includes(target) && html`checked`}
          />
          ${target}</label
        >`,
    )}
  </fieldset>`;
}

function hasMore(fields: SubmitForm["fields"]): boolean {
  return ["name", "version", "machine", "environment", "config"].some((name) => textOf(fields[name]) !== "");
}

function textOf(value: string | string[] | undefined): string {
  return typeof value === "string" ? value : "";
}
