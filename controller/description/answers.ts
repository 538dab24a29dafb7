/**
 * What the JSON interface answers, as schemas: the OpenAPI document shows them, the server's code is checked against their types,
 * and so is that of the commands which read the answers.
 */
import Type, { type Static, type TSchema } from "typebox";
import { oneOf } from "../one-of.ts";

const integer = Type.Integer();
const text = Type.String();
const flag = Type.Boolean();
const optional = <T extends TSchema>(one: T, description?: string) =>
  Type.Union([one, Type.Null()], description === undefined ? {} : { description });
/** UTC, such as `2026-01-31T23:59:59.999Z`. */
const time = Type.String({ format: "date-time" });
const seconds = Type.Number({ minimum: 0, description: "seconds" });
const byName = Type.Record(Type.String(), Type.String());
/** Answers may get more fields in later versions. */
const object = <T extends Record<string, TSchema>>(fields: T) => Type.Object(fields);

const inList = {
  id: integer,
  url: Type.String({ description: "its page" }),
  name: text,
  version: text,
  target: text,
  repository: Type.String({ description: "without a password, if it has one" }),
  machine: Type.String({ description: "pattern of the machines that may build it" }),
  auxiliary: optional(byName),
  environment: optional(text),
  variables: optional(byName),
  priority: integer,
  interactive: optional(text),
  croftOnly: optional(text, "why other agents than croft's cannot have it"),
  state: oneOf("queued", "building", "finished", "cancelled"),
  status: optional(text, "of the result, once it has ended"),
  attempts: Type.Integer({ description: "how often it was given to an agent" }),
  aborts: integer,
  faults: integer,
  interrupts: integer,
  pinned: flag,
  submittedBy: optional(text),
  rebuildOf: optional(integer),
  sameAs: optional(integer, "of a skipped one: whose result it would have"),
  submission: Type.Integer({ description: "the first build of those submitted together" }),
  createdAt: time,
  startedAt: optional(time),
  finishedAt: optional(time),
  queueSeconds: seconds,
  buildSeconds: optional(seconds),
};

export const build = object(inList);

const operation = object({
  name: text,
  status: text,
  warnings: integer,
  errors: integer,
  logBytes: integer,
  logLines: integer,
  logUrl: text,
});

const attempt = object({
  attempt: Type.Integer({ description: "1 for the first" }),
  agent: text,
  machine: text,
  auxiliary: optional(byName),
  toolchain: text,
  state: oneOf("active", "finished", "expired", "superseded", "cancelled"),
  status: optional(text),
  fault: optional(text, "what its host could not do"),
  startedAt: time,
  endedAt: optional(time),
  seconds: optional(seconds),
  operations: Type.Array(operation),
});

const artifact = object({
  attempt: integer,
  type: text,
  name: text,
  sha256: text,
  bytes: integer,
  url: text,
});

const tests = object({
  tests: integer,
  failures: integer,
  errors: integer,
  skipped: integer,
  seconds: Type.Number(),
  reports: Type.Array(object({ name: text, trouble: optional(text) })),
  failed: Type.Array(object({ suite: text, name: text, kind: text, message: text })),
});

const estimate = object({
  buildSeconds: optional(seconds),
  startSeconds: optional(seconds),
  remainingSeconds: optional(seconds),
});

/** In place of the number of attempts stand the attempts. */
export const buildDetails = object({
  ...inList,
  waiting: optional(text, "why it waits, if it is queued"),
  estimate: optional(estimate, "by what such builds took before"),
  operations: Type.Array(operation, { description: "of the attempt whose result is the build's" }),
  tests: optional(tests, "of reports among the artifacts"),
  attempts: Type.Array(attempt),
  artifacts: Type.Array(artifact),
  logUrl: text,
  eventsUrl: text,
});

const next = optional(integer, "`before` of the next page, if there is one");
const listed = object({ ...inList, estimate: optional(estimate) });
export const buildList = object({ builds: Type.Array(listed), next });
export const submitted = object({ builds: Type.Array(build) });

const pauseKind = oneOf("agent", "target", "all");
const pause = object({
  kind: pauseKind,
  name: optional(text),
  reason: optional(text),
  by: optional(text),
  since: time,
});
export const pauses = object({ pauses: Type.Array(pause) });
const what = object({ kind: pauseKind, name: text });
export const paused = object({ paused: what });
export const resumed = object({ resumed: what });

const agent = object({
  name: text,
  state: oneOf("building", "idle", "silent"),
  version: optional(text),
  paused: optional(pause),
  heardAt: time,
  toolchain: text,
  interactive: oneOf("false", "true", "both"),
  machines: Type.Array(text),
  builds: Type.Array(
    object({ id: integer, name: text, version: text, target: text, machine: text, since: time }),
  ),
});
export const agents = object({ agents: Type.Array(agent) });

const offered = object({ agent: text, state: oneOf("building", "idle", "silent"), toolchain: text });
export const machines = object({ machines: Type.Array(object({ name: text, agents: Type.Array(offered) })) });

const target = object({
  name: text,
  machine: optional(text, "null: it is not configured any more"),
  toolchain: optional(text),
  timeoutSeconds: optional(integer),
  limit: optional(integer),
  paused: optional(pause),
  queued: integer,
  building: integer,
  finished: integer,
  cancelled: integer,
  idleAgents: integer,
  oldest: optional(object({ id: integer, queuedAt: time })),
  waiting: optional(text, "why its oldest build waits"),
});
export const targets = object({ targets: Type.Array(target) });

export const queue = object({
  queued: integer,
  builds: Type.Array(object({ ...inList, waiting: optional(text) })),
});

const approval = object({
  id: integer,
  repository: text,
  pullRequest: integer,
  commit: text,
  author: text,
  subject: text,
  from: optional(text),
  into: optional(text),
  createdAt: time,
});
export const approvals = object({ approvals: Type.Array(approval) });
export const approved = object({ event: integer, builds: Type.Array(build) });
export const rejected = object({ event: integer, rejected: Type.Literal(true) });

const inDeliveries = {
  id: integer,
  notification: text,
  build: integer,
  event: text,
  state: oneOf("open", "delivered", "failed"),
  tries: integer,
  answer: optional(text),
  trouble: optional(text),
  createdAt: time,
  dueAt: optional(time),
  endedAt: optional(time),
};
const delivery = object(inDeliveries);
export const deliveries = object({ deliveries: Type.Array(delivery), next });
const tried = object({ at: time, seconds, answer: optional(text), trouble: optional(text) });
export const deliveryDetails = object({ ...inDeliveries, body: text, attempts: Type.Array(tried) });
export const redelivered = object({ redelivered: integer });

export const secrets = object({
  secrets: Type.Array(object({ name: text, repository: optional(text), setAt: time })),
});
export const credentials = object({
  credentials: Type.Array(object({ url: text, kind: text, user: optional(text), setAt: time })),
});
export const set = object({ set: text });
export const removed = object({ removed: text });

export const token = object({ name: text, role: oneOf("read", "submit", "trusted", "admin") });

/** Of any question that is refused. */
export const refusal = object({
  error: Type.String({ description: "Cannot <verb> <object>: <reason>" }),
  hints: Type.Array(text, { description: "what can be done, a sentence each" }),
});

export type BuildAnswer = Static<typeof build>;
export type ListedAnswer = Static<typeof listed>;
export type DetailsAnswer = Static<typeof buildDetails>;
export type AgentAnswer = Static<typeof agent>;
export type TargetAnswer = Static<typeof target>;
export type PauseAnswer = Static<typeof pause>;
export type ApprovalAnswer = Static<typeof approval>;
export type TokenAnswer = Static<typeof token>;
export type DeliveryAnswer = Static<typeof delivery>;
export type DeliveryDetailsAnswer = Static<typeof deliveryDetails>;
