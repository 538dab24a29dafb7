/**
 * GitLab's hooks: https://docs.gitlab.com/user/project/integrations/webhooks/ (the secret comes as it is; there is no signature)
 * and https://docs.gitlab.com/user/project/integrations/webhook_events/ (push, tag and merge request events).
 */
import Type from "typebox";
import { isNoCommit, pushed, type ForgeEvent, type Ignored } from "./event.ts";
import { header, type Forge } from "./forge.ts";
import { commit, firstLine, fullName, maybe, payloadReader, text } from "./payload.ts";
import { isSame } from "./signature.ts";
import { gitlabStatuses } from "./status-apis.ts";

export const gitlab: Forge = {
  proofHeaders: ["x-gitlab-token"],
  isAuthentic: ({ headers }, secret) => isSame(header(headers, "x-gitlab-token"), secret),
  // Since GitLab 17.4. X-Gitlab-Event-UUID is no name for it: one event that leads to another shares it.
  deliveryOf: (headers) => header(headers, "idempotency-key"),
  read: (_headers, payload) => {
    const { object_kind } = readKind(payload);
    if (object_kind === "push" || object_kind === "tag_push") return readPush(payload);
    if (object_kind === "merge_request") return readMergeRequest(payload);
    return { ignored: `nothing is built for '${object_kind}'` };
  },
  pullReference: (number) => `refs/merge-requests/${number}/head`,
  statuses: gitlabStatuses,
};

const project = Type.Object({ path_with_namespace: fullName, default_branch: maybe(text) });

const readKind = payloadReader(Type.Object({ object_kind: text }));

const readPushPayload = payloadReader(
  Type.Object({
    ref: text,
    after: commit,
    checkout_sha: maybe(commit),
    user_username: maybe(text),
    user_name: maybe(text),
    commits: maybe(Type.Array(Type.Object({ id: text, message: maybe(text) }))),
    project,
  }),
);

function readPush(payload: unknown): ForgeEvent | Ignored {
  const { ref, after, checkout_sha, user_username, user_name, commits, project } = readPushPayload(payload);
  const what = pushed(ref);
  if (!what) return { ignored: `'${ref}' is neither a branch nor a tag` };
  if (isNoCommit(after)) return { ignored: `the ${what.kind === "tag" ? "tag" : "branch"} was deleted` };
  // Of an annotated tag `after` is the tag itself, and this its commit.
  const built = checkout_sha ?? after;
  return {
    ...what,
    commit: built,
    repository: project.path_with_namespace,
    defaultBranch: project.default_branch ?? null,
    author: user_username ?? user_name ?? "",
    subject: firstLine(commits?.find(({ id }) => id === built)?.message),
  };
}

const readMergePayload = payloadReader(
  Type.Object({
    user: Type.Object({ username: text }),
    project,
    object_attributes: Type.Object({
      iid: Type.Integer({ minimum: 1 }),
      title: text,
      action: maybe(text),
      oldrev: maybe(text),
      last_commit: Type.Object({ id: commit }),
      source: maybe(Type.Object({ path_with_namespace: fullName })),
      target_branch: text,
    }),
  }),
);

/** An `update` brings commits only if it says what was there before (`oldrev`); others change a title, a label… */
function readMergeRequest(payload: unknown): ForgeEvent | Ignored {
  const { user, project, object_attributes } = readMergePayload(payload);
  const { iid, title, action, oldrev, last_commit, source, target_branch } = object_attributes;
  const brings = action === "open" || action === "reopen" || (action === "update" && (oldrev ?? "") !== "");
  if (!brings) return { ignored: `the merge request brings no commit ('${action ?? ""}')` };
  return {
    kind: "pull-request",
    reference: String(iid),
    commit: last_commit.id,
    repository: project.path_with_namespace,
    defaultBranch: project.default_branch ?? null,
    author: user.username,
    subject: firstLine(title),
    pull: { from: source?.path_with_namespace ?? null, base: target_branch },
  };
}
