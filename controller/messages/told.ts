/** What somebody is told of a build, and the words for it. */
import { maskCredentials } from "../../os/text/credentials.ts";
import { printable } from "../../os/text/terminal-text.ts";
import type { Build } from "../builds/build.ts";
import { buildJson } from "../representation.ts";
import type { ChatStyle, EventKind, Notification } from "./notifications.ts";

/** What happened to a build. */
export interface Told {
  event: EventKind;
  at: Date;
  build: Build;
  /** Only of `changed`. */
  change?: "broken" | "fixed";
  cause: Cause | undefined;
}

/** What a forge told of that it is built for. */
export interface Cause {
  kind: string;
  reference: string;
  commit: string;
  author: string;
  subject: string;
}

/** What is sent for it: of a webhook and a chat the request's body, of mail subject and text as JSON. */
export function bodyFor(notification: Notification, told: Told, base: string): string {
  if (notification.kind === "webhook") return JSON.stringify(payload(told, base));
  if (notification.kind === "chat")
    return JSON.stringify({ text: chatText(told, base, notification.style!) });
  return JSON.stringify({ subject: headline(told), text: mailText(told, base) } satisfies Letter);
}

/** A mail, as it is kept. */
export interface Letter {
  subject: string;
  text: string;
}

function payload({ event, at, build, change, cause }: Told, base: string): object {
  return {
    event,
    at: at.toISOString(),
    ...(change === undefined ? {} : { change }),
    build: buildJson(build, base),
    cause: cause ?? null,
  };
}

function headline({ change, build: { name, target, status, state } }: Told): string {
  const word = change === undefined ? "" : `${change}: `;
  return line(`${word}${name} for ${target}: ${status ?? state}`);
}

function mailText(told: Told, base: string): string {
  const { build, cause } = told;
  const facts: [string, string][] = [
    ["Build", `${base}/builds/${build.id}`],
    ["Repository", maskCredentials(build.repository)],
  ];
  if (cause) facts.push(["What", `${cause.kind} ${cause.reference}`]);
  if (cause?.commit) facts.push(["Commit", cause.commit]);
  if (cause?.author) facts.push(["By", cause.author]);
  if (cause?.subject) facts.push(["Subject", cause.subject]);
  const lines = facts.map(([name, value]) => `${`${name}:`.padEnd(12)}${line(value)}\n`);
  return `${headline(told)}\n\n${lines.join("")}`;
}

/** Names and subjects are strangers' words: they are neither to call everybody nor to be links to elsewhere. */
function chatText(told: Told, base: string, style: ChatStyle): string {
  const { build, cause, change } = told;
  const plain = escapes[style];
  const by = cause?.subject ? `\n${plain(line(`${cause.subject} (${cause.author || "unknown"})`))}` : "";
  const sign = change === "broken" ? "❌" : "✅";
  return `${sign} ${plain(headline(told))}\n${base}/builds/${build.id}${by}`;
}

const escapes: Record<ChatStyle, (text: string) => string> = {
  // https://api.slack.com/reference/surfaces/formatting#escaping
  slack: (text) => uncalled(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;"),
  mattermost: (text) => markdown(text),
  matrix: (text) => markdown(text),
};

/** Behind an `@` stands nobody. */
function uncalled(text: string): string {
  return text.replaceAll("@", "@\u200b").replaceAll("://", ":\u200b//");
}

function markdown(text: string): string {
  return uncalled(text).replace(/[\\`*_{}[\]()#+!|~<>&]/g, "\\$&");
}

/** In one line, short, and nothing that turns text around. */
function line(text: string): string {
  return printable(text.toWellFormed().replace(/\s+/g, " ")).slice(0, 500);
}
