/** What a forge tells of by its hook: the same whichever forge it is. */

/** A commit that came to a branch, a tag, or a pull request (GitLab: merge request); or the time to build a branch. */
export interface ForgeEvent {
  kind: "push" | "tag" | "pull-request" | "schedule";
  /** The branch, the tag, or the number of the pull request. */
  reference: string;
  /** In full; empty while it is not known, as a schedule builds what its branch has then. */
  commit: string;
  /** The repository's full name at the forge, such as `acme/hello`; of a pull request the one that it is to go into. */
  repository: string;
  /** The repository's usual branch. */
  defaultBranch: string | null;
  /** Who pushed, or whose pull request it is. */
  author: string;
  /** The first line of the commit's message, or the pull request's title. */
  subject: string;
  /** Only of a pull request: where it comes from and goes to. */
  pull?: PullRequest;
  /** Only of a schedule: names of the builds in the file; none for all. */
  only?: readonly string[];
}

/** Where a pull request comes from and goes to. */
interface PullRequest {
  /** The full name of the repository that it comes from; null if that is gone. */
  from: string | null;
  /** The branch that it is to go into. */
  base: string;
}

/** What leads to no build, and why. */
export interface Ignored {
  ignored: string;
}

/** A payload that is not what the forge would send. */
export class PayloadError extends Error {}

/** A commit's full name, by SHA-1 or SHA-256. */
export const commitPattern = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** Stands for no commit: before a branch was made, or after it was deleted. */
export function isNoCommit(commit: string | null): boolean {
  return commit === null || /^0+$/.test(commit);
}

/** Comes from another repository than it goes into, or from one that is gone. */
export function isOfFork({ pull, repository }: ForgeEvent): boolean {
  return pull !== undefined && pull.from?.toLowerCase() !== repository.toLowerCase();
}

/** The branch or tag of a full reference. */
export function pushed(reference: string): Pick<ForgeEvent, "kind" | "reference"> | undefined {
  const [, kind, name] = /^refs\/(heads|tags)\/(.+)$/s.exec(reference) ?? [];
  return name === undefined ? undefined : { kind: kind === "heads" ? "push" : "tag", reference: name };
}

/** An event that the database and every page can take: what is no text in it is told by `?`. */
export function cleaned(event: ForgeEvent): ForgeEvent {
  const clean = (value: unknown) =>
    typeof value === "string"
      ? value
          .toWellFormed()
          .replace(/[\0-\x1f\x7f]/g, "?")
          .slice(0, 1000)
      : value;
  const cleanAll = (of: object) =>
    Object.fromEntries(Object.entries(of).map(([key, value]) => [key, clean(value)]));
  const pull = event.pull && (cleanAll(event.pull) as unknown as PullRequest);
  return { ...(cleanAll(event) as unknown as ForgeEvent), ...(pull ? { pull } : {}) };
}
