/**
 * What the three kinds of forges send, written anew, with the fields that are read and some beside them.
 *
 * GitHub: https://docs.github.com/webhooks/webhook-events-and-payloads, sections "push" and "pull_request"; headers: "Delivery
 * headers" there. GitLab: https://docs.gitlab.com/user/project/integrations/webhook_events/, sections "Push events", "Tag events",
 * "Merge request events"; headers: .../webhooks/, "Delivery headers". Gitea and Forgejo: modules/structs/hook.go (PushPayload,
 * PullRequestPayload), modules/structs/pull.go (PullRequest, PRBranchInfo), services/webhook/deliver.go (headers, signature).
 */
import { createHmac, randomUUID } from "node:crypto";

export const secret = "a secret that nobody guesses";
export const commitA = "a".repeat(40);
export const commitB = "b".repeat(40);
const none = "0".repeat(40);

/** What happens at a forge, as tests tell it. */
export interface Happening {
  kind: "push" | "tag" | "pull-request";
  /** Branch, tag or number. */
  reference: string;
  commit?: string;
  /** Of an annotated tag: the tag's own name. */
  tagObject?: string;
  deleted?: boolean;
  /** Of a pull request; default: opened. */
  action?: "opened" | "synchronized" | "closed" | "labeled";
  /** Where a pull request comes from; null: its repository is gone. */
  from?: string | null;
  repository?: string;
  subject?: string;
}

/** A forge as far as its hooks go. */
export interface ForgeDouble {
  name: "github" | "gitlab" | "gitea" | "forgejo";
  payload(happening: Happening): object;
  /** With the signature of this body, or the token. */
  headers(happening: Happening, body: string, secret: string, delivery: string): Record<string, string>;
  /** The reference of a pull request in the repository. */
  pullReference(number: string): string;
}

const hmac = (key: string, body: string) => createHmac("sha256", key).update(body).digest("hex");

/** Fields of push: `ref`, `before`, `after`, `deleted`, `head_commit`, `repository`, `pusher`. */
function githubPayload(happening: Happening, isGitea = false): object {
  const { kind, reference, commit = commitA, tagObject, deleted = false } = happening;
  const {
    action = "opened",
    repository = "acme/hello",
    from = repository,
    subject = "Say hello",
  } = happening;
  // Repository: `full_name`, `default_branch`, `clone_url` (GitHub), in Gitea modules/structs/repo.go
  const repo = {
    id: 1,
    full_name: repository,
    default_branch: "main",
    clone_url: `https://x.org/${repository}.git`,
  };
  // In GitHub's `pusher` there is `name`, in Gitea a whole user with `login` (modules/structs/user.go)
  const pusher = isGitea ? { id: 7, login: "ann", username: "ann" } : { name: "ann", email: "ann@x.org" };
  const sender = { id: 7, login: "ann" };
  if (kind === "pull-request") {
    const words = isGitea ? { labeled: "label_updated" } : { synchronized: "synchronize" };
    return {
      action: (words as Record<string, string>)[action] ?? action,
      number: Number(reference),
      pull_request: {
        number: Number(reference),
        title: subject,
        user: { login: "bob" },
        head: { ref: "work", sha: commit, repo: from === null ? null : { full_name: from } },
        base: { ref: "main", sha: commitB, repo },
      },
      repository: repo,
      sender,
    };
  }
  const author = { name: "Ann", email: "ann@x.org", username: "ann" };
  return {
    ref: `refs/${kind === "tag" ? "tags" : "heads"}/${reference}`,
    before: none,
    after: deleted ? none : (tagObject ?? commit),
    ...(isGitea ? {} : { created: true, deleted, forced: false }),
    head_commit: deleted ? null : { id: commit, message: `${subject}\n\nAt length.`, author },
    commits: [],
    repository: repo,
    pusher,
    sender,
  };
}

/** Fields of push: `object_kind`, `ref`, `before`, `after`, `checkout_sha`, `user_username`, `project`, `commits`. */
function gitlabPayload(happening: Happening): object {
  const { kind, reference, commit = commitA, tagObject, deleted = false } = happening;
  const {
    action = "opened",
    repository = "acme/hello",
    from = repository,
    subject = "Say hello",
  } = happening;
  const project = { id: 1, name: "hello", path_with_namespace: repository, default_branch: "main" };
  if (kind === "pull-request") {
    const words = { opened: "open", synchronized: "update", closed: "close", labeled: "update" };
    return {
      object_kind: "merge_request",
      event_type: "merge_request",
      user: { id: 8, username: "bob" },
      project,
      object_attributes: {
        iid: Number(reference),
        title: subject,
        action: words[action],
        ...(action === "synchronized" ? { oldrev: commitB } : {}), // "only on new commits"
        source_branch: "work",
        target_branch: "main",
        last_commit: { id: commit, message: subject },
        source: from === null ? null : { path_with_namespace: from },
        target: { path_with_namespace: repository },
      },
    };
  }
  return {
    object_kind: kind === "tag" ? "tag_push" : "push",
    before: none,
    after: deleted ? none : (tagObject ?? commit),
    ref: `refs/${kind === "tag" ? "tags" : "heads"}/${reference}`,
    checkout_sha: deleted ? null : commit,
    user_username: "ann",
    user_name: "Ann",
    project,
    commits: deleted ? [] : [{ id: commit, message: `${subject}\n\nAt length.` }],
  };
}

const githubEvent = ({ kind }: Happening) => (kind === "pull-request" ? "pull_request" : "push");

export const doubles: readonly ForgeDouble[] = [
  {
    name: "github",
    payload: (happening) => githubPayload(happening),
    headers: (happening, body, secret, delivery) => ({
      "user-agent": "GitHub-Hookshot/044aadd",
      "x-github-event": githubEvent(happening),
      "x-github-delivery": delivery,
      "x-hub-signature-256": `sha256=${hmac(secret, body)}`,
    }),
    pullReference: (number) => `refs/pull/${number}/head`,
  },
  {
    name: "gitlab",
    payload: gitlabPayload,
    headers: ({ kind }, _body, secret, delivery) => ({
      "x-gitlab-event": { push: "Push Hook", tag: "Tag Push Hook", "pull-request": "Merge Request Hook" }[
        kind
      ],
      "x-gitlab-token": secret,
      "x-gitlab-event-uuid": randomUUID(),
      "idempotency-key": delivery,
    }),
    pullReference: (number) => `refs/merge-requests/${number}/head`,
  },
  ...(["gitea", "forgejo"] as const).map((name) => ({
    name,
    payload: (happening: Happening) => githubPayload(happening, true),
    headers: (happening: Happening, body: string, secret: string, delivery: string) => ({
      [`x-${name}-event`]: githubEvent(happening),
      [`x-${name}-delivery`]: delivery,
      [`x-${name}-signature`]: hmac(secret, body),
      // For receivers made for GitHub, with the same values
      "x-github-event": githubEvent(happening),
      "x-github-delivery": delivery,
      "x-hub-signature-256": `sha256=${hmac(secret, body)}`,
    }),
    pullReference: (number: string) => `refs/pull/${number}/head`,
  })),
];

export const githubDouble = doubles[0]!;

/** How a hook is sent; what is not said is as the forge does it. */
export interface Sending {
  delivery?: string;
  secret?: string;
  /** Instead of that of the happening. */
  body?: string;
  headers?: Record<string, string>;
  /** The repository's name in the configuration; default: that of the forge. */
  hook?: string;
}

/** Sends a hook to a controller. */
export async function sendHook(
  url: string,
  forge: ForgeDouble,
  happening: Happening,
  sending: Sending = {},
): Promise<{ status: number; answer: HookAnswer }> {
  const body = sending.body ?? JSON.stringify(forge.payload(happening));
  const signed = forge.headers(happening, body, sending.secret ?? secret, sending.delivery ?? randomUUID());
  const headers = { "content-type": "application/json", ...signed, ...sending.headers };
  const response = await fetch(`${url}/hooks/${sending.hook ?? forge.name}`, {
    method: "POST",
    headers,
    body,
  });
  return { status: response.status, answer: (await response.json()) as HookAnswer };
}

/** What a controller answers. */
export interface HookAnswer {
  event?: number;
  waiting?: boolean;
  builds?: { id: number; repository: string; target: string; submittedBy: string }[];
  ignored?: string;
  error?: string;
  hints?: string[];
}
