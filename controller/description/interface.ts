/** Each question of the JSON interface: what it is for, who may ask it, and what is answered. */
import type { TSchema } from "typebox";
import { treeForm } from "../trees/form.ts";
import * as answers from "./answers.ts";

/** Who asks; `known`: whoever has a token; `read`: whoever it is, unless the controller or the build is private. */
type Asker = "anybody" | "known" | "read" | "submit" | "trusted" | "admin";

export interface Question {
  summary: string;
  asker: Asker;
  /** By its status; a string is the media type of what is no JSON. */
  answer: readonly [status: number, content: TSchema | string];
  /** What is sent as `multipart/form-data`, which no route has a schema of. */
  form?: TSchema;
}

function question(asker: Asker, summary: string, content: TSchema | string, status = 200): Question {
  return { summary, asker, answer: [status, content] };
}

const events = "text/event-stream";

/** By method and path, as the router has them. */
export const questions: Readonly<Record<string, Question>> = {
  "GET /api/v1/openapi.json": question("anybody", "This document", "application/json"),
  "GET /api/v1/token": question("known", "Whose token it is that asks, and what it is for", answers.token),
  "GET /api/v1/builds": question("read", "Builds, the newest first", answers.buildList),
  "POST /api/v1/builds": question(
    "submit",
    "Submit a source: one build for each target",
    answers.submitted,
    201,
  ),
  "POST /api/v1/trees": {
    ...question(
      "submit",
      "Submit a working tree: one build for each target; its archive is for them alone",
      answers.submitted,
      201,
    ),
    form: treeForm,
  },
  "GET /api/v1/builds/:id": question("read", "A build with everything about it", answers.buildDetails),
  "POST /api/v1/builds/:id/cancel": question("submit", "Cancel a build; its machine is ended", answers.build),
  "POST /api/v1/builds/:id/rebuild": question("submit", "Build the same again", answers.build, 201),
  "POST /api/v1/builds/:id/pin": question("submit", "Keep a build whatever its age", answers.build),
  "POST /api/v1/builds/:id/unpin": question("submit", "Keep a build no longer than others", answers.build),
  "GET /api/v1/builds/:id/log": question(
    "read",
    "The log of the result, or the live log while there is none",
    "text/plain",
  ),
  "GET /api/v1/builds/:id/events": question("read", "A build's states and its log as they come", events),
  "GET /api/v1/builds/:id/artifacts/:digest/*": question(
    "read",
    "A file that the build made",
    "application/octet-stream",
  ),
  "GET /api/v1/events": question("read", "Which builds have changed, as it happens", events),
  "GET /api/v1/agents": question("read", "Agents, and what they do", answers.agents),
  "GET /api/v1/machines": question("read", "Machines, and the agents that offer them", answers.machines),
  "GET /api/v1/targets": question(
    "read",
    "Targets with their builds, and why the oldest waits",
    answers.targets,
  ),
  "GET /api/v1/queue": question("read", "What is built next, and why it waits", answers.queue),
  "GET /api/v1/pauses": question("read", "Agents and targets that are paused", answers.pauses),
  "POST /api/v1/pauses": question("admin", "Pause an agent, a target or all", answers.paused, 201),
  "DELETE /api/v1/pauses": question("admin", "Resume an agent, a target or all", answers.resumed),
  "GET /api/v1/approvals": question("read", "Pull requests of forks that wait", answers.approvals),
  "POST /api/v1/approvals/:id/approve": question(
    "trusted",
    "Have a pull request built",
    answers.approved,
    201,
  ),
  "POST /api/v1/approvals/:id/reject": question(
    "trusted",
    "Do not have a pull request built",
    answers.rejected,
  ),
  "GET /api/v1/deliveries": question("admin", "Messages about builds, the newest first", answers.deliveries),
  "GET /api/v1/deliveries/:id": question(
    "admin",
    "A message, and how each try to send it went",
    answers.deliveryDetails,
  ),
  "POST /api/v1/deliveries/:id/redeliver": question(
    "admin",
    "Send a message again",
    answers.redelivered,
    202,
  ),
  "GET /api/v1/secrets": question("admin", "Names of secrets; none is ever shown", answers.secrets),
  "POST /api/v1/secrets": question("admin", "Set a secret", answers.set, 201),
  "DELETE /api/v1/secrets/:name": question("admin", "Remove a secret", answers.removed),
  "GET /api/v1/credentials": question(
    "admin",
    "Credentials for private repositories, without passwords and keys",
    answers.credentials,
  ),
  "POST /api/v1/credentials": question("admin", "Set a credential", answers.set, 201),
  "DELETE /api/v1/credentials": question("admin", "Remove a credential", answers.removed),
};
