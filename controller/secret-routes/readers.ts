/** Builds that are private are shown to who has a token, and are not there for anybody else. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { mayChange, mayRead } from "../routes/access.ts";
import { visitorOf } from "../routes/visitor.ts";
import { refuse, type Served } from "../routes/served.ts";

/** Whether who asks may read of private builds. */
export async function seesPrivate(served: Served, request: FastifyRequest): Promise<boolean> {
  return (await visitorOf(served, request)).person !== undefined;
}

/** Hooks for what shows the build whose number is in the URL; `missing` answers as for one that there is not. */
export function mayReadBuild(
  served: Served,
  missing: (reply: FastifyReply, id: number) => unknown = (reply, id) =>
    refuse(reply, 404, `there is no build ${id}`),
) {
  return [mayRead(served), hidePrivate(served, missing)];
}

/** Hooks for what changes the build whose number is in the URL: who may not read of it changes nothing of it, either. */
export function mayChangeBuild(served: Served) {
  return [mayChange(served), hidePrivate(served, (reply) => refuse(reply, 404, "there is no such build"))];
}

function hidePrivate(served: Served, missing: (reply: FastifyReply, id: number) => unknown) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    // As the schema reads it afterwards, to which 1.0 and 1e0 are numbers, too.
    const id = Number((request.params as { id: string }).id);
    if (!Number.isSafeInteger(id) || (await seesPrivate(served, request))) return undefined;
    const [row] = await served.controller.database.query<{ is_private: boolean }>(
      "select is_private from croft.builds where id = $1::bigint",
      [id],
    );
    if (!row?.is_private) return undefined;
    await missing(reply, id);
    return reply;
  };
}
