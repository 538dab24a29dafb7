/** Builds that end, without a machine: what an agent would have done, at once. */
import assert from "node:assert/strict";
import type { OpenController } from "../../controller/controller.ts";

/** Gives the next build that waits to an agent that delivers this status at once; its number. */
export async function endNext(controller: OpenController, status: string): Promise<number> {
  const session = await takeNext(controller);
  const result = { version: "1.0", status, operations: [] };
  assert.equal(await controller.results.store(session, result), "stored");
  return session.build;
}

/** Gives the next build that waits to an agent. */
export async function takeNext(controller: OpenController) {
  const offer = {
    agent: "host",
    toolchain: "default",
    interactive: "false",
    machines: ["debian_13"],
  } as const;
  const assignment = await controller.sessions.assign(offer);
  assert.ok(assignment, "no build waits");
  return assignment.session;
}
