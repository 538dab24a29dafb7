/**
 * GitHub's hooks: https://docs.github.com/webhooks/webhook-events-and-payloads#delivery-headers and
 * https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries.
 */
import type { IncomingHttpHeaders } from "node:http";
import { header, type Forge } from "./forge.ts";
import { readPullRequest, readPush } from "./github-payloads.ts";
import { isSigned } from "./signature.ts";
import { giteaStatuses, githubStatuses } from "./status-apis.ts";

export const github: Forge = {
  proofHeaders: ["x-hub-signature-256"],
  isAuthentic: ({ headers, body }, secret) =>
    isSigned(body, secret, /^sha256=(.*)$/.exec(header(headers, "x-hub-signature-256") ?? "")?.[1]),
  deliveryOf: (headers) => header(headers, "x-github-delivery"),
  read: (headers, payload) => readEvent(header(headers, "x-github-event"), payload),
  pullReference: (number) => `refs/pull/${number}/head`,
  statuses: githubStatuses,
};

function readEvent(event: string | undefined, payload: unknown): ReturnType<Forge["read"]> {
  if (event === "push") return readPush(payload);
  if (event === "pull_request") return readPullRequest(payload);
  return { ignored: `nothing is built for '${event ?? ""}'` };
}

/**
 * The hooks of Gitea and Forgejo (services/webhook/deliver.go of each): headers of their own, a signature of the event's JSON
 * also where that comes in a form, and GitHub's payloads.
 */
export const gitea: Forge = {
  proofHeaders: ["x-gitea-signature", "x-forgejo-signature"],
  isAuthentic: ({ headers, body, json }, secret) =>
    isSigned(json === undefined ? body : Buffer.from(json), secret, either(headers, "signature")),
  deliveryOf: (headers) => either(headers, "delivery"),
  read: (headers, payload) => readEvent(either(headers, "event"), payload),
  pullReference: (number) => `refs/pull/${number}/head`,
  statuses: giteaStatuses,
};

function either(headers: IncomingHttpHeaders, name: string): string | undefined {
  return header(headers, `x-gitea-${name}`) ?? header(headers, `x-forgejo-${name}`);
}
