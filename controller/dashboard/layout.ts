/** What all pages share. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { packageFile, packageVersion } from "../../os/files/package.ts";
import { formatDuration } from "../../os/text/duration.ts";
import { isAdministrator, type Visitor } from "../routes/visitor.ts";
import { html, type Markup } from "./html.ts";

/** What live.js uses of ours. A function's text has no types any more when it runs. */
const shared = `\n${formatDuration.toString()}\n`;

/** The files that pages use besides themselves, read once. */
export const staticFiles: ReadonlyMap<string, { content: Buffer; type: string; url: string }> = new Map(
  (
    [
      ["style.css", "text/css; charset=utf-8"],
      ["live.js", "text/javascript; charset=utf-8"],
      ["icon.svg", "image/svg+xml"],
    ] as const
  ).map(([name, type]) => {
    const file = readFileSync(packageFile("controller", "dashboard", "static", name));
    const content = name === "live.js" ? Buffer.concat([file, Buffer.from(shared)]) : file;
    const version = createHash("sha256").update(content).digest("hex").slice(0, 12);
    return [name, { content, type, url: `/static/${name}?v=${version}` }];
  }),
);

/** Nothing from elsewhere, nothing inline: a log that breaks out of its escaping still runs nothing. */
export const securityHeaders = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "x-content-type-options": "nosniff",
  "referrer-policy": "same-origin", // without any, browsers would not say where forms come from
  "cross-origin-opener-policy": "same-origin",
} as const;

/** What each form of a visitor has in it. */
export function formToken(visitor: Visitor): Markup {
  return html`<input type="hidden" name="form" value="${visitor.formToken}" />`;
}

/** Who looks at the page, and the way to become somebody else. */
function visitorLinks(visitor: Visitor): Markup {
  return html`${visitor.maySignIn && html`<a href="/sign-in">Sign in</a>`}
  ${visitor.person && html`<span class="quiet">${visitor.person.name}</span>`}
  ${
    visitor.isSignedIn &&
    html`<form method="post" action="/sign-out">
      ${formToken(visitor)}<button class="link">Sign out</button>
    </form>`
  }`;
}

/** What the head of each page leads to. */
type Section = "overview" | "builds" | "agents" | "events" | "messages" | "submit" | "docs";

/** A whole page; `section` is the one that it belongs to. */
export function page(title: string, content: Markup, visitor?: Visitor, section?: Section): string {
  const url = (name: string) => staticFiles.get(name)!.url;
  const way = (name: Section, path: string, text: string) =>
    html`<a href="${path}" ${section === name && html`aria-current="page"`}>${text}</a>`;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · croft</title>
        <link rel="icon" href="${url("icon.svg")}" />
        <link rel="stylesheet" href="${url("style.css")}" />
        <script type="module" src="${url("live.js")}"></script>
      </head>
      <body>
        <a class="skip" href="#content">Skip to the content</a>
        <header>
          <nav aria-label="Main">
            <a class="brand" href="/"><img src="${url("icon.svg")}" alt="" width="22" height="22" />croft</a>
            ${way("overview", "/", "Overview")} ${way("builds", "/builds", "Builds")}
            ${way("agents", "/agents", "Agents")} ${way("events", "/events", "Events")}
            ${visitor && isAdministrator(visitor) && way("messages", "/deliveries", "Messages")}
            ${visitor?.mayChange && way("submit", "/submit", "Submit")} ${way("docs", "/docs", "Manual")}
          </nav>
          <span id="connection" role="status"></span>
          <div class="visitor">${visitor && visitorLinks(visitor)}</div>
        </header>
        <main id="content">${content}</main>
        <footer>croft ${packageVersion}</footer>
      </body>
    </html> `.text;
}

const symbols: Record<string, string> = {
  queued: "○",
  building: "◐",
  success: "✓",
  warning: "!",
  error: "✕",
  abort: "■",
  abnormal: "▲",
  interrupt: "↺",
  skip: "–",
  cancelled: "⊘",
};

/** A state or status as a coloured chip; shape and word tell it as well as the colour does. */
export function chip(status: string): Markup {
  const symbol = symbols[status];
  return html`<span class="chip ${symbol ? status : ""}"
    ><span aria-hidden="true">${symbol ?? "?"}</span> ${status}</span
  >`;
}

/** The same for a table of many: the word is for who does not see it. */
export function shortChip(status: string): Markup {
  const symbol = symbols[status];
  return html`<span class="chip short ${symbol ? status : ""}" title="${status}"
    ><span aria-hidden="true">${symbol ?? "?"}</span></span
  >`;
}

/** A package's name, which leads to its history. */
export function packageLink({ name }: { name: string }): Markup {
  return html`<a href="/packages/${encodeURIComponent(name)}"><b>${name}</b></a>`;
}

/** What a farm shows that has built nothing yet. */
export function emptyFarm(): Markup {
  return html`<div class="empty">
    <p>No build yet. Submit the first one:</p>
    <pre>croft submit https://example.org/hello.git --follow</pre>
  </div>`;
}

/** A time as people say it, with the exact one to hover over. */
export function ago(time: Date | null): Markup {
  if (!time) return html`–`;
  const iso = time.toISOString();
  return html`<time datetime="${iso}" title="${iso.slice(0, 19).replace("T", " ")} UTC"
    >${formatDuration((Date.now() - time.getTime()) / 1000)} ago</time
  >`;
}

/** A duration in seconds, such as `3m12s`; `since` makes it go on in the browser. */
export function duration(seconds: number | null, since?: Date | null): Markup {
  if (seconds === null) return html`–`;
  if (!since) return html`${formatDuration(seconds)}`;
  return html`<span data-since="${since.toISOString()}">${formatDuration(seconds)}</span>`;
}

/** A line of what is known of a thing: its name and its value, in a list of facts. */
export function fact(name: string, value: Markup | string, isWide = false): Markup {
  return html`<div ${isWide && html`class="wide"`}>
    <dt>${name}</dt>
    <dd>${value}</dd>
  </div>`;
}

/** The ways from a page of a list to others; undefined: there is none. */
export function listPages(newest: string | undefined, older: string | undefined): Markup {
  return html`<nav class="pages" aria-label="Pages">
    ${newest !== undefined && html`<a href="${newest}">Newest</a>`}
    ${older !== undefined && html`<a rel="next" href="${older}">Older</a>`}
  </nav>`;
}

/** The head of a table: the names of its columns. */
export function tableHead(...names: readonly string[]): Markup {
  return html`<thead>
    <tr>
      ${names.map((name) => html`<th scope="col">${name}</th>`)}
    </tr>
  </thead>`;
}
