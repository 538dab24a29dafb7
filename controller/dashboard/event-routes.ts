/** The pages of what forges told of, and what people do there. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { assertFailure } from "../../os/failure.ts";
import { mayRead } from "../routes/access.ts";
import { buildParameters, checkSpace, statusOf } from "../routes/api.ts";
import type { Served } from "../routes/served.ts";
import { visitorOf, type Visitor } from "../routes/visitor.ts";
import { seesPrivate } from "../secret-routes/readers.ts";
import { eventPage, eventsPage, mayApprove } from "./events-page.ts";
import { sendPage, sendRefusal } from "./sending.ts";

const listed = 100;

type Checked = (request: FastifyRequest, reply: FastifyReply) => Promise<Visitor | undefined>;

/**
 * Adds the pages and forms.
 *
 * @param checked who sent a form that they may send; undefined if it was answered.
 */
export function addEventPages(server: FastifyInstance, served: Served, checked: Checked): void {
  const { forgeEvents, laterBuilds, log } = served.controller;
  const reading = { onRequest: mayRead(served) };
  const schema = { params: buildParameters };
  const idOf = (request: FastifyRequest) => (request.params as { id: number }).id;

  server.get("/events", reading, async (request, reply) => {
    const events = await forgeEvents.list(listed, await seesPrivate(served, request));
    return sendPage(reply, eventsPage(events, await visitorOf(served, request)));
  });
  server.get("/events/:id", { ...reading, schema }, async (request, reply) => {
    const id = idOf(request);
    const visitor = await visitorOf(served, request);
    const row = (await isShown(id, visitor)) ? await forgeEvents.find(id) : undefined;
    if (!row) return sendRefusal(reply, 404, "There is no such event", visitor);
    return sendPage(reply, eventPage(row, await forgeEvents.buildsOf(id), await laterBuilds.of(id), visitor));
  });

  const isShown = async (id: number, { person }: Visitor) => person !== undefined || forgeEvents.isPublic(id);

  const action = (name: string, needsTrust: boolean, work: (id: number, by: string) => Promise<unknown>) =>
    server.post(`/events/:id/${name}`, { schema }, async (request, reply) => {
      const visitor = await checked(request, reply);
      if (!visitor) return reply;
      if (needsTrust && !mayApprove(visitor))
        return sendRefusal(reply, 403, "This needs a token of the role 'trusted'", visitor);
      const id = idOf(request);
      const by = visitor.person?.name ?? "somebody";
      try {
        await checkSpace(served.controller);
        if (!(await isShown(id, visitor)) || !(await work(id, by)))
          return sendRefusal(reply, 404, "There is no such event", visitor);
        log.info({ event: id, by, action: name }, "somebody decided on an event");
        return reply.redirect(`/events/${id}`, 303);
      } catch (error) {
        assertFailure(error);
        return sendRefusal(reply, statusOf(error), error.message, visitor);
      }
    });
  action("approve", true, (id, by) => forgeEvents.approve(id, by));
  action("reject", true, (id, by) => forgeEvents.reject(id, by));
  action("read-again", false, (id) => forgeEvents.readAgain(id));
}
