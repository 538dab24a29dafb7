/** Builds as JSON. */
import { maskCredentials } from "../os/text/credentials.ts";
import type { Artifact } from "./builds/artifacts.ts";
import type { Build } from "./builds/build.ts";
import type { Controller } from "./controller.ts";
import { croftOnlyReason } from "./builds/tasks.ts";
import type { BuildAnswer, DetailsAnswer, ListedAnswer } from "./description/answers.ts";
import type { Estimate } from "./fleet/estimates.ts";
import { testResultsOf, testsJson, type TestResults } from "./reports/test-reports.ts";
import type { Session } from "./builds/session.ts";

/** An operation of an attempt; a row of the operations table. */
export interface Operation {
  session: number;
  ordinal: number;
  name: string;
  status: string;
  log_digest: string;
  log_bytes: number;
  log_lines: number;
  warnings: number;
  errors: number;
}

/** All there is to know about one build. */
export interface BuildDetails {
  build: Build;
  sessions: Session[];
  operations: Operation[];
  artifacts: Artifact[];
  /** What tests said, of all attempts. */
  tests: TestResults;
  /** Why it waits, if it is queued. */
  waiting: string | undefined;
  /** What is to be expected, until it has ended. */
  estimate: Estimate | undefined;
}

/** Reads a build with its attempts, operations and artifacts; `withPrivate`: why it waits may tell of private builds. */
export async function readDetails(
  controller: Controller,
  id: number,
  withPrivate: boolean,
): Promise<BuildDetails | undefined> {
  const build = await controller.builds.find(id);
  if (!build) return undefined;
  const operations = await controller.database.query<Operation>(
    `select o.* from croft.operations o join croft.sessions s on s.id = o.session
     where s.build = $1 order by o.session, o.ordinal`,
    [id],
  );
  const [sessions, artifacts] = [await controller.sessions.of(id), await controller.artifacts.of(id)];
  const waiting = await controller.waiting.of(build, withPrivate);
  const estimate = await controller.estimates.of(build, withPrivate);
  const tests = await testResultsOf(controller.database, id);
  return { build, sessions, operations, artifacts, tests, waiting, estimate };
}

/** The attempt that tells what became of a build: the one that has it, or ended it, else the latest. */
export function mainSession({
  build,
  sessions,
}: Pick<BuildDetails, "build" | "sessions">): Session | undefined {
  const own = build.state === "queued" ? undefined : sessions.find(({ id }) => id === build.session);
  return own ?? sessions.at(-1);
}

/** Seconds from one time to another, or to now. */
export function secondsBetween(from: Date | null, to: Date | null): number | null {
  if (!from) return null;
  return Math.max(0, Math.round((to ?? new Date()).getTime() - from.getTime()) / 1000);
}

/** Seconds that a build waited, so far or before its latest attempt. */
export function queueSeconds(build: Build): number {
  const until = build.state === "queued" ? null : (build.started_at ?? build.finished_at);
  return secondsBetween(build.queued_at, until) ?? 0;
}

/** A build in a list. */
export function buildJson(build: Build, base: string): BuildAnswer {
  const { specification } = build;
  return {
    id: build.id,
    url: `${base}/builds/${build.id}`,
    name: build.name,
    version: build.version,
    target: build.target,
    repository: maskCredentials(build.repository),
    machine: specification.machine,
    auxiliary: specification.auxiliary ?? null,
    environment: specification.environment ?? null,
    variables: specification.variables ?? null,
    priority: build.priority,
    interactive: specification.interactive ?? null,
    croftOnly: build.croft_only ? (croftOnlyReason(specification) ?? null) : null,
    state: build.state,
    status: build.status,
    attempts: build.attempts,
    aborts: build.aborts,
    faults: build.faults,
    interrupts: build.interrupts,
    pinned: build.pinned,
    submittedBy: build.submitted_by,
    rebuildOf: build.rebuild_of,
    sameAs: build.same_as ?? null,
    submission: build.submission ?? build.id,
    createdAt: build.created_at.toISOString(),
    startedAt: build.started_at?.toISOString() ?? null,
    finishedAt: build.finished_at?.toISOString() ?? null,
    queueSeconds: queueSeconds(build),
    buildSeconds: build.state === "queued" ? null : secondsBetween(build.started_at, build.finished_at),
  };
}

/** Builds in a list, with what is to be expected of those that have not ended. */
export async function listedJson(
  { estimates }: Pick<Controller, "estimates">,
  builds: readonly Build[],
  { base, withPrivate }: { base: string; withPrivate: boolean },
): Promise<ListedAnswer[]> {
  const expected = await estimates.ofAll(builds, withPrivate);
  return builds.map((build) => ({ ...buildJson(build, base), estimate: expected.get(build.id) ?? null }));
}

/** One build with everything about it. */
export function detailsJson(details: BuildDetails, base: string): DetailsAnswer {
  const { build, sessions, operations, artifacts, tests, waiting, estimate } = details;
  const api = `${base}/api/v1/builds/${build.id}`;
  const attemptOf = new Map(sessions.map(({ id, attempt }) => [id, attempt]));
  const operationsOf = (session: number | null) =>
    operations
      .filter((operation) => operation.session === session)
      .map((one) => ({
        name: one.name,
        status: one.status,
        warnings: one.warnings,
        errors: one.errors,
        logBytes: one.log_bytes,
        logLines: one.log_lines,
        logUrl: `${api}/log?attempt=${attemptOf.get(one.session)}&operation=${encodeURIComponent(one.name)}`,
      }));
  const finished = build.state === "finished" ? build.session : null;
  return {
    ...buildJson(build, base),
    waiting: waiting ?? null,
    estimate: estimate ?? null,
    operations: operationsOf(finished),
    tests: testsJson(tests, mainSession(details)?.id),
    attempts: sessions.map((session) => ({
      attempt: session.attempt,
      agent: session.agent,
      machine: session.machine,
      auxiliary: session.auxiliary ?? null,
      toolchain: session.toolchain,
      state: session.state,
      status: session.status,
      fault: session.fault,
      startedAt: session.created_at.toISOString(),
      endedAt: session.ended_at?.toISOString() ?? null,
      seconds: secondsBetween(session.created_at, session.ended_at),
      operations: operationsOf(session.id),
    })),
    artifacts: artifacts.map((artifact) => ({
      attempt: attemptOf.get(artifact.session)!,
      type: artifact.type,
      name: artifact.name,
      sha256: artifact.digest,
      bytes: artifact.bytes,
      url: `${api}/artifacts/${artifact.digest}/${encodeURIComponent(artifact.name)}`,
    })),
    logUrl: `${api}/log`,
    eventsUrl: `${api}/events`,
  };
}
