/** Secrets and credentials are set, listed by name, and removed by an administrator; none is ever shown. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance, FastifyRequest, onRequestAsyncHookHandler } from "fastify";
import Type from "typebox";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { Controller } from "../controller.ts";
import { answer } from "../routes/api.ts";

const closed = { additionalProperties: false } as const;
const url = Type.String({ minLength: 1, maxLength: 2000 });
const value = Type.String({ minLength: 1, maxLength: 100_000 });

const secretSchema = Type.Object(
  { name: Type.String({ maxLength: 200 }), repository: Type.Optional(url), value },
  closed,
);
const namedSchema = Type.Object({ repository: Type.Optional(url) }, closed);
const credentialSchema = Type.Object(
  {
    url,
    user: Type.Optional(Type.String({ pattern: "^[!-~]+$", maxLength: 200 })),
    password: Type.Optional(value),
    key: Type.Optional(value),
    knownHosts: Type.Optional(value),
  },
  closed,
);

/** Adds the routes; `by` tells who asks. */
export function addSecretRoutes(
  untyped: FastifyInstance,
  { vault, log }: Controller,
  base: string,
  { by, onRequest }: { by: (request: FastifyRequest) => string | null; onRequest: onRequestAsyncHookHandler },
): void {
  const server = untyped.withTypeProvider<TypeBoxTypeProvider>();
  server.get(`${base}/secrets`, { onRequest }, async () => ({
    secrets: (await vault.secrets()).map(({ name, repository, set_at }) => ({
      name,
      repository: repository === "" ? null : repository,
      setAt: set_at.toISOString(),
    })),
  }));
  server.post(`${base}/secrets`, { onRequest, schema: { body: secretSchema } }, (request, reply) =>
    answer(reply, 201, async () => {
      const { name, repository = "", value } = request.body;
      await vault.setSecret(name, repository, value);
      log.info({ name, repository, by: by(request) }, "a secret was set");
      return { set: name };
    }),
  );
  const one = { params: Type.Object({ name: Type.String() }), querystring: namedSchema };
  server.delete(`${base}/secrets/:name`, { onRequest, schema: one }, (request, reply) =>
    answer(reply, 200, async () => {
      const { name } = request.params;
      const { repository = "" } = request.query;
      await vault.removeSecret(name, repository);
      log.info({ name, repository, by: by(request) }, "a secret was removed");
      return { removed: name };
    }),
  );
  addCredentials(untyped, { vault, log }, base, { by, onRequest });
}

function addCredentials(
  untyped: FastifyInstance,
  { vault, log }: Pick<Controller, "vault" | "log">,
  base: string,
  { by, onRequest }: { by: (request: FastifyRequest) => string | null; onRequest: onRequestAsyncHookHandler },
): void {
  const server = untyped.withTypeProvider<TypeBoxTypeProvider>();
  server.get(`${base}/credentials`, { onRequest }, async () => ({
    credentials: (await vault.credentials()).map(({ url, kind, username, set_at }) => ({
      ...{ url, kind, user: username === "" ? null : username },
      setAt: set_at.toISOString(),
    })),
  }));
  server.post(`${base}/credentials`, { onRequest, schema: { body: credentialSchema } }, (request, reply) =>
    answer(reply, 201, async () => {
      const set = await vault.setCredential(withoutUndefined(request.body));
      log.info({ url: set, by: by(request) }, "a credential was set");
      return { set };
    }),
  );
  const query = { querystring: Type.Object({ url }, closed) };
  server.delete(`${base}/credentials`, { onRequest, schema: query }, (request, reply) =>
    answer(reply, 200, async () => {
      await vault.removeCredential(request.query.url);
      log.info({ url: request.query.url, by: by(request) }, "a credential was removed");
      return { removed: request.query.url };
    }),
  );
}
