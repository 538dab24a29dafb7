/**
 * The interfaces for commit statuses of all kinds of forges on one port, which check what they are sent as the forges do: path,
 * token, words. GitHub: https://docs.github.com/rest/commits/statuses; GitLab: https://docs.gitlab.com/api/commits/ and
 * lib/api/commit_statuses.rb (states, "Cannot transition"); Gitea: routers/api/v1/repo/status.go, modules/structs/commit_status.go.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export const token = "a-token-of-the-forge";

/** A status that a forge has taken. */
export interface TakenStatus {
  forge: string;
  commit: string;
  state: string;
  context: string;
  description: string;
  url: string;
}

export interface StatusDouble extends AsyncDisposable {
  readonly url: string;
  readonly taken: TakenStatus[];
  /** Requests, taken or not. */
  requests: number;
  /** Answers the next request; undefined: as the forge does. */
  refuse: ((response: ServerResponse) => void) | undefined;
}

const states = {
  github: ["error", "failure", "pending", "success"],
  gitlab: ["pending", "running", "success", "failed", "canceled", "skipped"],
  gitea: ["pending", "success", "error", "failure", "warning"],
};

const paths = {
  github: /^\/github\/repos\/acme\/hello\/statuses\/([0-9a-f]{40})$/,
  gitlab: /^\/gitlab\/projects\/acme%2Fhello\/statuses\/([0-9a-f]{40})$/,
  gitea: /^\/gitea\/repos\/acme\/hello\/statuses\/([0-9a-f]{40})$/,
};

const tokenIn = {
  github: ({ headers }: IncomingMessage) => /^(?:Bearer|token) (.*)$/.exec(headers.authorization ?? "")?.[1],
  gitlab: ({ headers }: IncomingMessage) => headers["private-token"],
  gitea: ({ headers }: IncomingMessage) => /^token (.*)$/.exec(headers.authorization ?? "")?.[1],
};

/** Starts one; the interface of a forge is below its name: `URL/github`… */
export async function startStatusDouble(): Promise<StatusDouble> {
  const server = createServer((request, response) => void answer(double, request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const double: StatusDouble = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    taken: [],
    requests: 0,
    refuse: undefined,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return double;
}

async function answer(
  double: StatusDouble,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  double.requests++;
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const refuse = double.refuse;
  double.refuse = undefined;
  if (refuse) return refuse(response);
  const forge = request.url!.split("/")[1] as keyof typeof paths;
  const say = (code: number, message: string) =>
    void response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify({ message }));
  const commit = paths[forge]?.exec(request.url!)?.[1];
  if (request.method !== "POST" || commit === undefined) return say(404, "Not Found");
  if (tokenIn[forge](request) !== token) return say(401, "Bad credentials");
  const body = JSON.parse(Buffer.concat(pieces).toString()) as Record<string, string>;
  const context = body[forge === "gitlab" ? "name" : "context"]!;
  const { state = "", description = "", target_url: url = "" } = body;
  if (!states[forge].includes(state) || !context || description.length > 140 || !URL.canParse(url))
    return say(422, "Validation Failed");
  const last = double.taken.findLast(
    (one) => one.forge === forge && one.commit === commit && one.context === context,
  );
  if (forge === "gitlab" && last?.state === state)
    return say(400, `Cannot transition status via :run from :${state} (Reason(s): Status cannot transition)`);
  double.taken.push({ forge, commit, state, context, description, url });
  say(201, "Created");
}
