/** What was sent to whom, how it went, and sending it again: for administrators, as it may be of private builds. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance, FastifyReply, onRequestAsyncHookHandler } from "fastify";
import Type from "typebox";
import type { Controller } from "../controller.ts";
import type { DeliveryAnswer } from "../description/answers.ts";
import { answer, buildParameters } from "../routes/api.ts";
import { refuse } from "../routes/served.ts";
import { oneOf } from "../one-of.ts";
import type { Attempt, ListedDelivery } from "./deliveries.ts";

const number = Type.Integer({ minimum: 1, maximum: 2_147_483_647 });
/** What the list may be narrowed to. */
export const deliveriesSchema = Type.Object(
  {
    notification: Type.Optional(Type.String({ maxLength: 50 })),
    state: Type.Optional(oneOf("open", "delivered", "failed")),
    build: Type.Optional(number),
    before: Type.Optional(number),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500 })),
  },
  { additionalProperties: false },
);

/** Adds the routes. */
export function addDeliveryRoutes(
  untyped: FastifyInstance,
  { deliveries, log }: Controller,
  base: string,
  onRequest: onRequestAsyncHookHandler,
): void {
  const server = untyped.withTypeProvider<TypeBoxTypeProvider>();
  const missing = (reply: FastifyReply, id: number) => refuse(reply, 404, `there is no delivery ${id}`);
  server.get(base, { onRequest, schema: { querystring: deliveriesSchema } }, async ({ query }) => {
    const { limit = 50, ...filter } = query;
    const found = await deliveries.list({ ...filter, limit: limit + 1 });
    const page = found.slice(0, limit);
    return { deliveries: page.map(deliveryJson), next: found.length > limit ? page.at(-1)!.id : null };
  });
  server.get(
    `${base}/:id`,
    { onRequest, schema: { params: buildParameters } },
    async ({ params: { id } }, reply) => {
      const found = await deliveries.find(id);
      if (!found) return missing(reply, id);
      const { answer = null, trouble = null } = found.attempts.at(-1) ?? {};
      const { body, ...row } = found.delivery;
      const json = deliveryJson({ ...row, answer, trouble });
      return { ...json, body, attempts: found.attempts.map(attemptJson) };
    },
  );
  server.post(`${base}/:id/redeliver`, { onRequest, schema: { params: buildParameters } }, (request, reply) =>
    answer(reply, 202, async () => {
      const { id } = request.params;
      if (!(await deliveries.redeliver(id))) return undefined;
      log.info({ delivery: id, by: request.submitter ?? null }, "a message is sent again");
      return { redelivered: id };
    }),
  );
}

function deliveryJson(one: Omit<ListedDelivery, "held_until">): DeliveryAnswer {
  return {
    id: one.id,
    notification: one.notification,
    build: one.build,
    event: one.event,
    state: one.state,
    tries: one.tries,
    answer: one.answer,
    trouble: one.trouble,
    createdAt: one.created_at.toISOString(),
    dueAt: one.state === "open" ? one.due_at.toISOString() : null,
    endedAt: one.ended_at?.toISOString() ?? null,
  };
}

function attemptJson({ at, seconds, answer, trouble }: Attempt) {
  return { at: at.toISOString(), seconds, answer, trouble };
}
