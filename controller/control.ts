/**
 * `control.sock` in the data directory: what the administrator of the controller's host asks of it while it runs and holds
 * the data. JSON over HTTP. The kernel lets only the controller's own user and root connect: the socket has mode 0600, and
 * the directory is closed to others. The commands for it are in client/token.ts,
 * client/prune.ts, client/backup.ts and authentication/key-command.ts.
 */
import { lstat, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fastify } from "fastify";
import Type from "typebox";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import { assertFailure, Failure, reasonOf } from "../os/failure.ts";
import { randomTail } from "../os/files/random-tail.ts";
import { beginBackup } from "./backup/contents.ts";
import { roles, type Role } from "./authentication/tokens.ts";
import { name, retentionOf, retentionRules } from "./configuration.ts";
import type { Controller } from "./controller.ts";
import { controlPath, socketName } from "./files/control-path.ts";
import { s3Name } from "./files/s3-service.ts";
import { addDeliveryRoutes } from "./messages/routes.ts";
import { addSecretRoutes } from "./secret-routes/administration.ts";
import { addKeyRoutes } from "./authentication/key-routes.ts";
import { addPauseRoutes } from "./routes/fleet.ts";
import { refuse } from "./routes/served.ts";

const pruneSchema = Type.Object({ dryRun: Type.Boolean(), rules: retentionRules });

/**
 * Listens on the socket, under a name of its own first: controllers that share the directory may start at once, and each
 * commands the same. The one that came last is asked; disposing of it takes the socket away.
 *
 * @throws {Failure} if the data directory takes none.
 */
export async function startControl(controller: Controller): Promise<AsyncDisposable> {
  const { path: data } = controller.directory;
  const path = join(data, socketName);
  await using stack = new AsyncDisposableStack();
  try {
    const server = makeServer(controller);
    stack.defer(() => server.close());
    const own = `.${socketName}-${randomTail()}`;
    using socket = controlPath(data, own);
    await server.listen({ path: socket.path });
    const { ino } = await lstat(join(data, own));
    await rename(join(data, own), path);
    stack.defer(async () => {
      const there = await lstat(path).catch(() => undefined);
      if (there?.ino === ino) await rm(path, { force: true });
    });
  } catch (error) {
    throw new Failure(`make '${path}'`, reasonOf(error), { cause: error });
  }
  return stack.move();
}

function makeServer(controller: Controller) {
  const { tokens, retention, log } = controller;
  const server = fastify({ forceCloseConnections: true }).withTypeProvider<TypeBoxTypeProvider>();
  server.setErrorHandler((error, _request, reply) => {
    assertFailure(error);
    return refuse(reply, 400, error.message, error.hints);
  });
  server.get("/tokens", async () => ({ tokens: await tokens.list() }));
  server.post(
    "/tokens",
    { schema: { body: Type.Object({ name, role: Type.Unsafe<Role>({ enum: roles }) }) } },
    async ({ body: { name, role } }) => {
      const token = await tokens.create(name, role);
      log.info({ name, role }, "a token was made");
      return { token };
    },
  );
  server.delete(
    "/tokens/:name",
    { schema: { params: Type.Object({ name: Type.String() }) } },
    async ({ params: { name } }) => {
      await tokens.revoke(name);
      log.info({ name }, "a token was revoked");
      return { revoked: name };
    },
  );
  addKeyRoutes(server, controller);
  server.post("/prune", { schema: { body: pruneSchema } }, async ({ body: { dryRun, rules } }) => {
    const wanted = { ...retention.rules, ...retentionOf(rules) };
    if (dryRun) return await retention.preview(wanted);
    const report = await retention.prune(wanted);
    const { builds, liveLogs, blobs } = report;
    log.info(
      { builds: builds.length, liveLogs, blobs },
      "the administrator had removed what is kept no longer",
    );
    return report;
  });
  server.post("/backup", async (_request, reply) => {
    const { storage: place } = controller.configuration;
    const storage = place === "directory" ? place : s3Name(place);
    const archive = await beginBackup({ ...controller, storage });
    archive.once("error", (error) => log.error({ reason: reasonOf(error) }, "a backup was broken off"));
    archive.once("end", () => log.info({}, "a backup was made"));
    return reply.type("application/x-tar").send(archive);
  });
  addSecretRoutes(server, controller, "", { by: () => null, onRequest: async () => {} });
  addPauseRoutes(server, controller, "/pauses", { by: () => null, onRequest: async () => {} });
  addDeliveryRoutes(server, controller, "/deliveries", async () => {});
  return server;
}
