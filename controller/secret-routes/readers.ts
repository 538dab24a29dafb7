/** Builds that are private are shown to who has a token, and are not there for anybody else. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { mayRead } from "../routes/access.ts";
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
  return [
    mayRead(served),
    async (request: FastifyRequest, reply: FastifyReply) => {
      const { id: text } = request.params as { id: string };
      if (!/^\d{1,10}$/.test(text) || (await seesPrivate(served, request))) return;
      const id = Number(text);
      const [row] = await served.controller.database.query<{ is_private: boolean }>(
        "select is_private from croft.builds where id = $1::bigint",
        [id],
      );
      if (row?.is_private) {
        await missing(reply, id);
        return reply;
      }
      return undefined;
    },
  ];
}
