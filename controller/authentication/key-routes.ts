/** Keys of agents, by the control socket. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { name } from "../configuration.ts";
import type { Controller } from "../controller.ts";

/** A key of 16,384 bits takes 2,800. */
const pem = Type.String({ maxLength: 10_000 });

/** Adds the routes. */
export function addKeyRoutes(untyped: FastifyInstance, { agentKeys, log }: Controller): void {
  const server = untyped.withTypeProvider<TypeBoxTypeProvider>();
  server.get("/agent-keys", async () => ({ keys: agentKeys.list() }));
  server.post("/agent-keys", { schema: { body: Type.Object({ name, pem }) } }, async ({ body }) => {
    const added = await agentKeys.add(body.name, body.pem);
    log.info({ name: added.name, fingerprint: added.fingerprint }, "a key of agents was added");
    return added;
  });
  server.delete(
    "/agent-keys/:name",
    { schema: { params: Type.Object({ name: Type.String() }) } },
    async ({ params: { name } }) => {
      await agentKeys.revoke(name);
      log.info({ name }, "a key of agents was revoked");
      return { revoked: name };
    },
  );
}
