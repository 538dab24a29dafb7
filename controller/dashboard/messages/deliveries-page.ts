/** What was sent to whom of builds: the log of deliveries, and one with its tries and what it says. For administrators. */
import type { Attempt, Delivery, DeliveryFilter, ListedDelivery } from "../../messages/deliveries.ts";
import type { Letter } from "../../messages/told.ts";
import type { Visitor } from "../../routes/visitor.ts";
import { html, type Markup } from "../html.ts";
import { ago, fact, formToken, listPages, page, tableHead } from "../layout.ts";

type Filter = Omit<DeliveryFilter, "limit">;

interface DeliveryList {
  deliveries: readonly ListedDelivery[];
  filter: Filter;
  /** Names of those that are told. */
  receivers: readonly string[];
  more: boolean;
}

/** The page of all. */
export function deliveriesPage(list: DeliveryList, visitor: Visitor): string {
  const { deliveries, filter, more } = list;
  const last = deliveries.at(-1);
  return page(
    "Messages",
    html`<h1>Messages</h1>
      ${tabs(filter)} ${receivers(list)} ${deliveries.length === 0 ? nothing(list) : table(deliveries)}
      ${listPages(
        filter.before === undefined ? undefined : address({ ...filter, before: undefined }),
        more && last ? address({ ...filter, before: last.id }) : undefined,
      )}`,
    visitor,
    "messages",
  );
}

function tabs(filter: Filter): Markup {
  const tab = (state: string | undefined, name: string) =>
    html`<a
      href="${address({ ...filter, state, before: undefined })}"
      ${filter.state === state && html`aria-current="page"`}
      >${name}</a
    >`;
  return html`<nav class="tabs" aria-label="State">
    ${tab(undefined, "All")} ${tab("open", "On their way")} ${tab("delivered", "Delivered")}
    ${tab("failed", "Failed")}
  </nav>`;
}

/** Ways to what one receiver was sent. */
function receivers({ filter, receivers: names }: DeliveryList): Markup {
  if (filter.build !== undefined || filter.notification !== undefined)
    return html`<p class="narrowed">
      Only ${filter.notification !== undefined && html`to <b>${filter.notification}</b> `}
      ${filter.build !== undefined && html`of <a href="/builds/${filter.build}">build ${filter.build}</a> `}·
      <a href="${address({ state: filter.state })}">show all</a>
    </p>`;
  if (names.length < 2) return html``;
  return html`<p class="narrowed">
    Only to
    ${names.map((notification) => html`<a href="${address({ state: filter.state, notification })}">${notification}</a> `)}
  </p>`;
}

function nothing({ filter, receivers: names }: DeliveryList): Markup {
  if (Object.values(filter).some((value) => value !== undefined))
    return html`<p class="empty">No message is like that.</p>`;
  if (names.length > 0) return html`<p class="empty">Nothing has been sent yet.</p>`;
  return html`<p class="empty">
    Nobody is told of builds yet. See <a href="/docs/notifications">notifications</a> for webhooks, chat and
    mail.
  </p>`;
}

function table(deliveries: readonly ListedDelivery[]): Markup {
  return html`<table>
    ${tableHead("Message", "State", "To", "Build", "Why", "Last answer", "Made")}
    <tbody>
      ${deliveries.map(
        (one) =>
          html`<tr>
            <th scope="row"><a class="row" href="/deliveries/${one.id}">${one.id}</a></th>
            <td>${stateChip(one)}</td>
            <td data-label="To">${one.notification}</td>
            <td data-label="Build"><a href="/builds/${one.build}">#${one.build}</a></td>
            <td data-label="Why">${one.event}</td>
            <td data-label="Last answer">${answerOf(one)}</td>
            <td data-label="Made">${ago(one.created_at)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

const kinds = {
  open: ["queued", "○", "on its way"],
  delivered: ["success", "✓", "delivered"],
  failed: ["error", "✕", "failed"],
} as const;

/** In the colours of builds, with a word of its own; one that is tried again warns. */
function stateChip({ state, tries }: Pick<Delivery, "state" | "tries">): Markup {
  const [kind, symbol, word] = kinds[state];
  if (state === "open" && tries > 0)
    return html`<span class="chip interrupt"><span aria-hidden="true">↺</span> tried ${tries}×</span>`;
  return html`<span class="chip ${kind}"><span aria-hidden="true">${symbol}</span> ${word}</span>`;
}

function answerOf({ answer, trouble }: Pick<Attempt, "answer" | "trouble">): Markup {
  if (trouble !== null) return html`<span class="error-text">${trouble}</span>`;
  return answer === null ? html`<span class="quiet">–</span>` : html`${answer}`;
}

/** The page of one. */
export function deliveryPage(delivery: Delivery, attempts: readonly Attempt[], visitor: Visitor): string {
  return page(
    `Message ${delivery.id}`,
    html`<p class="path"><a href="/deliveries">Messages</a> / ${delivery.id}</p>
      <h1>To ${delivery.notification} ${stateChip(delivery)}</h1>
      <dl class="facts">
        ${fact("Build", html`<a href="/builds/${delivery.build}">#${delivery.build}</a>`)}
        ${fact("Why", delivery.event)} ${fact("Made", ago(delivery.created_at))}
        ${delivery.state === "open" && delivery.tries > 0 && fact("Tried again", dueText(delivery.due_at))}
        ${delivery.ended_at && fact("Ended", ago(delivery.ended_at))}
      </dl>
      ${
        delivery.state !== "open" &&
        html`<div class="buttons">
          <form method="post" action="/deliveries/${delivery.id}/redeliver">
            ${formToken(visitor)}<button class="${delivery.state === "failed" ? "main" : ""}">
              Send again
            </button>
          </form>
        </div>`
      }
      <h2>Tries</h2>
      ${attempts.length === 0 ? html`<p class="empty small">It has not been tried yet.</p>` : tries(attempts)}
      <h2>What it says</h2>
      ${bodyOf(delivery.body)}`,
    visitor,
    "messages",
  );
}

function dueText(due: Date): string {
  const seconds = Math.round((due.getTime() - Date.now()) / 1000);
  if (seconds <= 0) return "at once";
  return seconds < 120 ? `in ${seconds} s` : `in ${Math.round(seconds / 60)} minutes`;
}

function tries(attempts: readonly Attempt[]): Markup {
  return html`<table>
    ${tableHead("When", "Took", "Answer")}
    <tbody>
      ${attempts.toReversed().map(
        (one) =>
          html`<tr>
            <td>${ago(one.at)}</td>
            <td data-label="Took">${one.seconds.toFixed(2)} s</td>
            <td data-label="Answer">
              ${one.answer !== null && html`<b>${one.answer}</b> `}
              ${one.trouble === null ? html`<span class="good-text">taken</span>` : html`<span class="error-text">${one.trouble}</span>`}
            </td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

/** A mail as a mail, and JSON in lines; whatever else it is, as it is. */
function bodyOf(body: string): Markup {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return shown(body);
  }
  const letter = json as Partial<Letter>;
  if (typeof letter.subject === "string" && typeof letter.text === "string")
    return shown(`Subject: ${letter.subject}\n\n${letter.text}`);
  return shown(JSON.stringify(json, null, 2));
}

function shown(text: string): Markup {
  return html`<pre class="log test whole" tabindex="0" aria-label="What the message says">${text}</pre>`;
}

function address(query: { [Name in keyof Filter]?: Filter[Name] | undefined }): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) parameters.set(name, String(value));
  const text = parameters.toString();
  return text === "" ? "/deliveries" : `/deliveries?${text}`;
}
