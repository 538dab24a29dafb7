/** Each question of the JSON interface: what it is for, who may ask it, and what is answered. */
import type { TSchema } from "typebox";
import * as answers from "./answers.ts";

/** Who asks; `known`: whoever has a token; `read`: whoever it is, unless the controller or the build is private. */
type Asker = "anybody" | "known" | "read" | "submit" | "trusted" | "admin";

export interface Question {
  summary: string;
  asker: Asker;
  /** By its status; a string is the media type of what is no JSON. */
  answer: readonly [status: number, content: TSchema | string];
}

const events = "text/event-stream";

/** By method and path, as the router has them. */
export const questions: Readonly<Record<string, Question>> = {
  "GET /api/v1/openapi.json": {
    ...{ summary: "This document", asker: "anybody" },
    answer: [200, "application/json"],
  },
  "GET /api/v1/token": {
    ...{ summary: "Whose token it is that asks, and what it is for", asker: "known" },
    answer: [200, answers.token],
  },
  "GET /api/v1/builds": {
    ...{ summary: "Builds, the newest first", asker: "read" },
    answer: [200, answers.buildList],
  },
  "POST /api/v1/builds": {
    ...{ summary: "Submit a source: one build for each target", asker: "submit" },
    answer: [201, answers.submitted],
  },
  "GET /api/v1/builds/:id": {
    ...{ summary: "A build with everything about it", asker: "read" },
    answer: [200, answers.buildDetails],
  },
  "POST /api/v1/builds/:id/cancel": {
    ...{ summary: "Cancel a build; its machine is ended", asker: "submit" },
    answer: [200, answers.build],
  },
  "POST /api/v1/builds/:id/rebuild": {
    ...{ summary: "Build the same again", asker: "submit" },
    answer: [201, answers.build],
  },
  "POST /api/v1/builds/:id/pin": {
    ...{ summary: "Keep a build whatever its age", asker: "submit" },
    answer: [200, answers.build],
  },
  "POST /api/v1/builds/:id/unpin": {
    ...{ summary: "Keep a build no longer than others", asker: "submit" },
    answer: [200, answers.build],
  },
  "GET /api/v1/builds/:id/log": {
    ...{ summary: "The log of the result, or the live log while there is none", asker: "read" },
    answer: [200, "text/plain"],
  },
  "GET /api/v1/builds/:id/events": {
    ...{ summary: "A build's states and its log as they come", asker: "read" },
    answer: [200, events],
  },
  "GET /api/v1/builds/:id/artifacts/:digest/*": {
    ...{ summary: "A file that the build made", asker: "read" },
    answer: [200, "application/octet-stream"],
  },
  "GET /api/v1/events": {
    ...{ summary: "Which builds have changed, as it happens", asker: "read" },
    answer: [200, events],
  },
  "GET /api/v1/agents": {
    ...{ summary: "Agents, and what they do", asker: "read" },
    answer: [200, answers.agents],
  },
  "GET /api/v1/machines": {
    ...{ summary: "Machines, and the agents that offer them", asker: "read" },
    answer: [200, answers.machines],
  },
  "GET /api/v1/targets": {
    ...{ summary: "Targets with their builds, and why the oldest waits", asker: "read" },
    answer: [200, answers.targets],
  },
  "GET /api/v1/queue": {
    ...{ summary: "What is built next, and why it waits", asker: "read" },
    answer: [200, answers.queue],
  },
  "GET /api/v1/pauses": {
    ...{ summary: "Agents and targets that are paused", asker: "read" },
    answer: [200, answers.pauses],
  },
  "POST /api/v1/pauses": {
    ...{ summary: "Pause an agent, a target or all", asker: "admin" },
    answer: [201, answers.paused],
  },
  "DELETE /api/v1/pauses": {
    ...{ summary: "Resume an agent, a target or all", asker: "admin" },
    answer: [200, answers.resumed],
  },
  "GET /api/v1/approvals": {
    ...{ summary: "Pull requests of forks that wait", asker: "read" },
    answer: [200, answers.approvals],
  },
  "POST /api/v1/approvals/:id/approve": {
    ...{ summary: "Have a pull request built", asker: "trusted" },
    answer: [201, answers.approved],
  },
  "POST /api/v1/approvals/:id/reject": {
    ...{ summary: "Do not have a pull request built", asker: "trusted" },
    answer: [200, answers.rejected],
  },
  "GET /api/v1/deliveries": {
    ...{ summary: "Messages about builds, the newest first", asker: "admin" },
    answer: [200, answers.deliveries],
  },
  "GET /api/v1/deliveries/:id": {
    ...{ summary: "A message, and how each try to send it went", asker: "admin" },
    answer: [200, answers.deliveryDetails],
  },
  "POST /api/v1/deliveries/:id/redeliver": {
    ...{ summary: "Send a message again", asker: "admin" },
    answer: [202, answers.redelivered],
  },
  "GET /api/v1/secrets": {
    ...{ summary: "Names of secrets; none is ever shown", asker: "admin" },
    answer: [200, answers.secrets],
  },
  "POST /api/v1/secrets": { summary: "Set a secret", asker: "admin", answer: [201, answers.set] },
  "DELETE /api/v1/secrets/:name": {
    ...{ summary: "Remove a secret", asker: "admin" },
    answer: [200, answers.removed],
  },
  "GET /api/v1/credentials": {
    ...{ summary: "Credentials for private repositories, without passwords and keys", asker: "admin" },
    answer: [200, answers.credentials],
  },
  "POST /api/v1/credentials": {
    ...{ summary: "Set a credential", asker: "admin" },
    answer: [201, answers.set],
  },
  "DELETE /api/v1/credentials": {
    ...{ summary: "Remove a credential", asker: "admin" },
    answer: [200, answers.removed],
  },
};
