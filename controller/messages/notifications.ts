/** The key `notifications` of the controller's configuration: who is told of builds, and how. */
import Type, { type Static } from "typebox";
import { Failure, type FailureOptions } from "../../os/failure.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { BuildState } from "../builds/build.ts";
import { readSecretFile } from "../secrets/secret-file.ts";
import { oneOf } from "../one-of.ts";

const closed = { additionalProperties: false } as const;
export const path = Type.String({ minLength: 1 });
/** Of mail. */
export const address = Type.String({ pattern: "^[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,255}$" });

/** What a webhook may be told of. */
const events = ["queued", "building", "ended", "changed"] as const;
export type EventKind = (typeof events)[number];

const styles = ["slack", "mattermost", "matrix"] as const;
export type ChatStyle = (typeof styles)[number];

/** One of them. */
export const notificationSchema = Type.Object(
  {
    name: Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9_.-]{0,49}$" }),
    kind: oneOf("webhook", "chat", "mail"),
    url: Type.Optional(Type.String({ minLength: 1, maxLength: 2000 })),
    "url-file": Type.Optional(path),
    "secret-file": Type.Optional(path),
    events: Type.Optional(Type.Array(oneOf(...events), { minItems: 1, uniqueItems: true })),
    style: Type.Optional(oneOf(...styles)),
    to: Type.Optional(Type.Array(address, { minItems: 1, maxItems: 50, uniqueItems: true })),
    packages: Type.Optional(
      Type.Array(Type.String({ pattern: "^[!-~]{1,200}$" }), { minItems: 1, uniqueItems: true }),
    ),
    private: Type.Optional(Type.Boolean()),
    local: Type.Optional(Type.Boolean()),
  },
  closed,
);

interface Usual {
  readonly name: string;
  /** Patterns of the packages that it is told of, besides those of repositories that name it. */
  readonly packages: readonly string[];
  /** Whether it is told of private builds, too. */
  readonly withPrivate: boolean;
}

/** Who is told over HTTP. */
export interface HttpNotification extends Usual {
  readonly kind: "webhook" | "chat";
  /** It may be a secret itself. */
  readonly url: URL;
  /** Whether that may be this host, or one that only its own network reaches. */
  readonly isLocal: boolean;
  readonly events: readonly EventKind[];
  /** Of a webhook, that its requests are signed with. */
  readonly secret?: string;
  /** How a chat wants its text. */
  readonly style?: ChatStyle;
}

/** Who is told by mail. */
export interface MailNotification extends Usual {
  readonly kind: "mail";
  readonly to: readonly string[];
  readonly events: readonly EventKind[];
}

/** Who is told of builds. */
export type Notification = HttpNotification | MailNotification;

/** The states in which builds are noted, by what somebody is to be told of. */
export function notedStates(notifications: readonly Notification[]): Set<BuildState> {
  const states = new Set<BuildState>();
  for (const kind of notifications.flatMap(({ events }) => events))
    if (kind === "queued" || kind === "building") states.add(kind);
    else states.add("finished").add("cancelled");
  return states;
}

export type Fail = (path: readonly (string | number)[], reason: string, options?: FailureOptions) => Failure;
export type FailAt = (key: string, reason: string, options?: FailureOptions) => Failure;
type Declared = Static<typeof notificationSchema>;

/**
 * Completes what the configuration says of them, with what is in the files that it names.
 *
 * @param used names of those that repositories name.
 * @throws {Failure} as `fail` makes it, with the place.
 */
export function readNotifications(
  declared: readonly Declared[],
  hasSmtp: boolean,
  used: ReadonlySet<string>,
  fail: Fail,
): Notification[] {
  const names = new Set<string>();
  return declared.map((one, index) => {
    const failAt: FailAt = (key, reason, options) => fail(["notifications", index, key], reason, options);
    if (names.has(one.name)) throw failAt("name", `there are two called '${one.name}'`);
    names.add(one.name);
    if (!one.packages && !used.has(one.name))
      throw failAt("name", "it is told of nothing", {
        hints: ["Give it packages, such as ['*'], or name it in notifications of a repository."],
      });
    checkKeys(one, failAt);
    const { name, packages = [], private: withPrivate = false } = one;
    const usual = { name, packages, withPrivate };
    if (one.kind !== "mail") return { ...usual, ...httpOf(one, one.kind, failAt) };
    if (!hasSmtp)
      throw failAt("kind", "mail needs smtp in this configuration, with the server that takes it");
    return { ...usual, kind: "mail", to: one.to!, events: ["changed"] };
  });
}

const keysOf = {
  webhook: ["url", "url-file", "secret-file", "events", "local"],
  chat: ["url", "url-file", "style", "local"],
  mail: ["to"],
};

function checkKeys(one: Declared, fail: FailAt): void {
  const own = keysOf[one.kind];
  const usual = ["name", "kind", "packages", "private"];
  const foreign = Object.keys(one).find((key) => ![...own, ...usual].includes(key));
  if (foreign !== undefined) throw fail(foreign, `a ${one.kind} has none`);
  if (one.kind === "mail" && !one.to) throw fail("kind", "mail needs addresses: to");
  if (one.kind === "webhook" && one["secret-file"] === undefined)
    throw fail("kind", "a webhook is signed: secret-file");
  if (one.kind !== "mail" && (one.url === undefined) === (one["url-file"] === undefined))
    throw fail("kind", `a ${one.kind} needs either url or url-file`);
}

function httpOf(
  one: Declared,
  kind: HttpNotification["kind"],
  fail: FailAt,
): Omit<HttpNotification, keyof Usual> {
  const key = one.url === undefined ? "url-file" : "url";
  const text = one.url ?? readFile(one, "url-file", fail, 1)!;
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol)) throw fail(key, "that is no http or https URL");
  if (url.username !== "" || url.password !== "") throw fail(key, "user and password in it are not sent");
  return {
    ...{ kind, url, isLocal: one.local ?? false },
    events: kind === "chat" ? ["changed"] : (one.events ?? ["ended"]),
    ...(kind === "chat" ? { style: one.style ?? "slack" } : {}),
    ...withoutUndefined({ secret: readFile(one, "secret-file", fail) }),
  };
}

function readFile(
  one: Declared,
  key: "url-file" | "secret-file",
  fail: FailAt,
  shortest?: number,
): string | undefined {
  const file = one[key];
  if (file === undefined) return undefined;
  return readSecretFile(file, (reason, options) => fail(key, reason, options), shortest);
}
