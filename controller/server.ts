/** The HTTP server. */
import multipart from "@fastify/multipart";
import { fastify, type FastifyError, type FastifyInstance } from "fastify";
import { Failure, reasonOf } from "../host/failure.ts";
import type { Controller } from "./controller.ts";
import { addAgentRoutes } from "./routes/agent.ts";
import { addApiRoutes } from "./routes/api.ts";
import { addLogRoutes } from "./routes/log.ts";
import { refuse, type Served } from "./routes/served.ts";
import { addStatusRoutes } from "./routes/status.ts";
import { addUploadRoute } from "./routes/upload.ts";
import { addDashboard } from "./dashboard/routes.ts";

/** A server that listens; disposing of it ends all its connections. */
export interface ListeningServer extends AsyncDisposable {
  /** `http://ADDRESS:PORT`. */
  readonly url: string;
}

/**
 * Starts to listen.
 *
 * @throws {Failure} if the address cannot be listened on.
 */
export async function startServer(controller: Controller): Promise<ListeningServer> {
  const { listen, publicUrl } = controller.configuration;
  let url = "";
  const server = makeServer(controller, { controller, publicUrl: () => publicUrl ?? url });
  try {
    await server.listen({ host: listen.host, port: listen.port });
  } catch (error) {
    await server.close();
    throw new Failure(`listen on ${listen.host}:${listen.port}`, reasonOf(error), { cause: error });
  }
  const address = server.server.address();
  const port = typeof address === "object" && address ? address.port : listen.port;
  url = `http://${listen.host.includes(":") ? `[${listen.host}]` : listen.host}:${port}`;
  return { url, [Symbol.asyncDispose]: () => server.close() };
}

function makeServer(controller: Controller, served: Served): FastifyInstance {
  const server = fastify({
    bodyLimit: 1 << 20,
    forceCloseConnections: true, // those who follow a log would stay for ever
    requestTimeout: 3_600_000,
    keepAliveTimeout: 72_000,
    routerOptions: { maxParamLength: 1000 },
  });
  const asBuffer = (_request: unknown, body: Buffer) => Promise.resolve(body);
  for (const type of ["text/manifest", "application/octet-stream"])
    server.addContentTypeParser<Buffer>(type, { parseAs: "buffer" }, asBuffer);
  void server.register(multipart, {
    limits: {
      fileSize: controller.configuration.uploadLimitBytes,
      fieldSize: 64 * 1024,
      files: 1000,
      parts: 3000,
    },
    throwFileSizeLimit: false,
    preservePath: true, // artifacts may lie in directories; the upload route checks their names
  });
  server.setErrorHandler<FastifyError>((error, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status < 500) return refuse(reply, status, error.message);
    // Not the whole error: that of a statement has its values, session tokens among them.
    controller.log.error(
      { reason: error.message, stack: error.stack, method: request.method, path: request.routeOptions.url },
      "a request failed",
    );
    return refuse(reply, status, "the controller failed; its log says why");
  });
  server.after(() => {
    addAgentRoutes(server, served);
    addUploadRoute(server, controller);
    addApiRoutes(server, served);
    addLogRoutes(server, served);
    addStatusRoutes(server, controller);
    addDashboard(server, served);
  });
  return server;
}
