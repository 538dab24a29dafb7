/** The pages of what was sent of builds, and sending it again. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Static } from "typebox";
import { assertFailure } from "../../../os/failure.ts";
import { deliveriesSchema } from "../../messages/routes.ts";
import { buildParameters, statusOf } from "../../routes/api.ts";
import { asksForPage, refuse, type Served } from "../../routes/served.ts";
import { isAdministrator, visitorOf, type Visitor } from "../../routes/visitor.ts";
import { leaveOutEmpty } from "../routes.ts";
import { sendPage, sendRefusal } from "../sending.ts";
import { deliveriesPage, deliveryPage } from "./deliveries-page.ts";

const pageLength = 50;

type Checked = (request: FastifyRequest, reply: FastifyReply) => Promise<Visitor | undefined>;

/**
 * Adds them.
 *
 * @param checked who sent a form that they may send; undefined if it was answered.
 */
export function addDeliveryPages(server: FastifyInstance, served: Served, checked: Checked): void {
  const { configuration, deliveries, log } = served.controller;
  const reading = { onRequest: forAdministrators(served) };
  const schema = { params: buildParameters };
  const idOf = (request: FastifyRequest) => (request.params as { id: number }).id;
  const missing = (reply: FastifyReply, visitor: Visitor) =>
    sendRefusal(reply, 404, "There is no such message", visitor);

  const listing = { ...reading, schema: { querystring: deliveriesSchema }, preValidation: leaveOutEmpty };
  server.get("/deliveries", listing, async (request, reply) => {
    const { limit = pageLength, ...filter } = request.query as Static<typeof deliveriesSchema>;
    const found = await deliveries.list({ ...filter, limit: limit + 1 });
    const receivers = configuration.notifications.map(({ name }) => name);
    const list = { deliveries: found.slice(0, limit), filter, receivers, more: found.length > limit };
    return sendPage(reply, deliveriesPage(list, await visitorOf(served, request)));
  });

  server.get("/deliveries/:id", { ...reading, schema }, async (request, reply) => {
    const visitor = await visitorOf(served, request);
    const found = await deliveries.find(idOf(request));
    if (!found) return missing(reply, visitor);
    return sendPage(reply, deliveryPage(found.delivery, found.attempts, visitor));
  });

  server.post("/deliveries/:id/redeliver", { schema }, async (request, reply) => {
    const visitor = await checked(request, reply);
    if (!visitor) return reply;
    if (!isAdministrator(visitor)) return sendRefusal(reply, 403, needsAdmin, visitor);
    const id = idOf(request);
    try {
      if (!(await deliveries.redeliver(id))) return missing(reply, visitor);
      log.info({ delivery: id, by: visitor.person!.name }, "a message is sent again");
      return reply.redirect(`/deliveries/${id}`, 303);
    } catch (error) {
      assertFailure(error);
      return sendRefusal(reply, statusOf(error), error.message, visitor);
    }
  });
}

const needsAdmin = "This needs a token of the role 'admin'";

/** A hook, as what was sent may be of private builds: the way to sign in for whoever has not, and for others a refusal. */
function forAdministrators(served: Served) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const visitor = await visitorOf(served, request);
    if (isAdministrator(visitor)) return;
    const status = visitor.person ? 403 : 401;
    if (!asksForPage(request)) return refuse(reply, status, "this needs a token with the role 'admin'");
    if (visitor.maySignIn) return reply.redirect(`/sign-in?to=${encodeURIComponent(request.url)}`, 303);
    return sendRefusal(reply, status, needsAdmin, visitor);
  };
}
