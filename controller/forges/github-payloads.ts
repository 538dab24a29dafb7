/**
 * Pushes and pull requests as GitHub sends them, and Gitea and Forgejo nearly so. The fields are those of
 * https://docs.github.com/webhooks/webhook-events-and-payloads (push, pull_request) and of Gitea's modules/structs/hook.go.
 */
import Type from "typebox";
import { isNoCommit, pushed, type ForgeEvent, type Ignored } from "./event.ts";
import { commit, firstLine, fullName, maybe, payloadReader, text } from "./payload.ts";

const repository = Type.Object({ full_name: fullName, default_branch: maybe(text) });
const user = Type.Object({ login: text });

const readPushPayload = payloadReader(
  Type.Object({
    ref: text,
    after: commit,
    deleted: maybe(Type.Boolean()),
    head_commit: maybe(Type.Object({ id: commit, message: maybe(text) })),
    repository,
    // GitHub has a name there, Gitea a user as everywhere.
    pusher: maybe(Type.Object({ name: maybe(text), login: maybe(text) })),
  }),
);

/** A push of a branch or tag. */
export function readPush(payload: unknown): ForgeEvent | Ignored {
  const { ref, after, deleted, head_commit, repository, pusher } = readPushPayload(payload);
  const what = pushed(ref);
  if (!what) return { ignored: `'${ref}' is neither a branch nor a tag` };
  if (deleted || isNoCommit(after)) return { ignored: `the ${nameOf(what.kind)} was deleted` };
  return {
    ...what,
    // Of an annotated tag `after` is the tag itself.
    commit: head_commit?.id ?? after,
    repository: repository.full_name,
    defaultBranch: repository.default_branch ?? null,
    author: pusher?.login ?? pusher?.name ?? "",
    subject: firstLine(head_commit?.message),
  };
}

const nameOf = (kind: ForgeEvent["kind"]) => (kind === "tag" ? "tag" : "branch");

const readPullPayload = payloadReader(
  Type.Object({
    action: text,
    number: Type.Integer({ minimum: 1 }),
    pull_request: Type.Object({
      title: text,
      user,
      head: Type.Object({ sha: commit, repo: maybe(Type.Object({ full_name: fullName })) }),
      base: Type.Object({ ref: text }),
    }),
    repository,
  }),
);

/** Actions that bring a commit; Gitea has another word than GitHub for further ones. */
const bringing = ["opened", "reopened", "synchronize", "synchronized"];

/** A pull request that was opened, or got further commits. */
export function readPullRequest(payload: unknown): ForgeEvent | Ignored {
  const { action, number, pull_request, repository } = readPullPayload(payload);
  if (!bringing.includes(action)) return { ignored: `the pull request was ${action}` };
  const { title, user, head, base } = pull_request;
  return {
    kind: "pull-request",
    reference: String(number),
    commit: head.sha,
    repository: repository.full_name,
    defaultBranch: repository.default_branch ?? null,
    author: user.login,
    subject: firstLine(title),
    pull: { from: head.repo?.full_name ?? null, base: base.ref },
  };
}
