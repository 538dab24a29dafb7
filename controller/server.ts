/** The HTTP server. */
import cookie from "@fastify/cookie";
import multipart from "@fastify/multipart";
import {
  fastify,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from "fastify";
import type { Server } from "node:https";
import { Failure, reasonOf } from "../os/failure.ts";
import { formatListenAddress } from "../os/network/listen-address.ts";
import { addressesOf, isWildcard, urlAskedFor } from "./addresses.ts";
import type { Controller } from "./controller.ts";
import { readCertificate, renewCertificate, type Certificate } from "./tls.ts";
import { mayAdminister, refuseForeignHosts, refuseForeignPages } from "./routes/access.ts";
import { addAgentRoutes } from "./routes/agent.ts";
import { addApiRoutes } from "./routes/api.ts";
import { addBinaryBodies } from "./routes/body.ts";
import { endWhenRevoked, followerLimit } from "./routes/followers.ts";
import { compressAnswers } from "./compression.ts";
import { addFleetRoutes, addMonitoring } from "./routes/fleet.ts";
import { addLogRoutes } from "./routes/log.ts";
import { inWords } from "./routes/in-words.ts";
import { bodiesInTime } from "./routes/patience.ts";
import { addResultRoute } from "./routes/result.ts";
import { asksForPage, refuse, type Served } from "./routes/served.ts";
import { addAliveRoute } from "./routes/alive.ts";
import { addWakeRoutes } from "./routes/wake.ts";
import { addUploadRoute } from "./routes/upload.ts";
import { addBook } from "./book/routes.ts";
import { addDescription } from "./description/openapi.ts";
import { addBadge } from "./dashboard/badge-route.ts";
import { stayBelow } from "./dashboard/below-path.ts";
import { addForms } from "./dashboard/forms.ts";
import { addDashboard } from "./dashboard/routes.ts";
import { sendRefusal } from "./dashboard/sending.ts";
import { addFarmPages } from "./dashboard/farm/routes.ts";
import { addApprovals } from "./forges/approval-routes.ts";
import { addHooks } from "./forges/hook-routes.ts";
import { addDeliveryRoutes } from "./messages/routes.ts";
import { addSecretRoutes } from "./secret-routes/administration.ts";
import { addHandingOut } from "./secret-routes/handing-out.ts";
import { addTreeHandingOut } from "./trees/handing-route.ts";
import { addTreeSubmission } from "./trees/submission-route.ts";
import { boundSlowReaders } from "./slow-readers.ts";
import { requestFiles } from "../manifests/limits.ts";

/** A server that listens; disposing of it ends all its connections. */
export interface ListeningServer extends AsyncDisposable {
  /** `http://ADDRESS:PORT`, or https. */
  readonly url: string;
}

/**
 * Starts to listen.
 *
 * @throws {Failure} if the address cannot be listened on, or the certificate cannot be used.
 */
export async function startServer(controller: Controller): Promise<ListeningServer> {
  const { listen, publicUrl, tls } = controller.configuration;
  const scheme = tls ? "https" : "http";
  const certificate = tls && readCertificate(tls);
  let url = "";
  const served: Served = {
    controller,
    following: [followerLimit(controller.configuration), endWhenRevoked(controller)],
    publicUrl: (request) =>
      publicUrl ?? (isWildcard(listen.host) ? urlAskedFor(scheme, request) : undefined) ?? url,
    proofUrls: (request) =>
      (publicUrl === undefined ? [url, ...addressesOf(scheme, request)] : [publicUrl]).map(
        (base) => base + request.url,
      ),
  };
  const server = makeServer(served, certificate);
  try {
    await server.listen({ host: listen.host, port: listen.port });
  } catch (error) {
    await server.close();
    throw new Failure(`listen on ${formatListenAddress(listen.host, listen.port)}`, reasonOf(error), {
      cause: error,
    });
  }
  const address = server.server.address();
  const port = typeof address === "object" && address ? address.port : listen.port;
  url = `${scheme}://${formatListenAddress(listen.host, port)}`;
  const renewal =
    tls && certificate && renewCertificate(server.server as Server, tls, certificate, controller.log);
  const close = async () => {
    renewal?.[Symbol.dispose]();
    await server.close();
  };
  return { url, [Symbol.asyncDispose]: close };
}

/** Whoever neither sends nor takes anything for so long is cut off; streams of events show every few seconds that they stand. */
const stallMs = 120_000;

function makeServer(served: Served, certificate: Certificate | undefined): FastifyInstance {
  const { controller } = served;
  const { uploadLimitBytes, trustedProxies } = controller.configuration;
  const server = fastify({
    ...(certificate && { https: certificate }),
    bodyLimit: 1 << 20,
    forceCloseConnections: true, // those who follow a log would stay for ever
    requestTimeout: 3_600_000,
    keepAliveTimeout: 72_000,
    connectionTimeout: stallMs,
    ...(trustedProxies.length > 0 ? { trustProxy: [...trustedProxies] } : {}),
    routerOptions: { maxParamLength: 1000 },
    // By default what a schema does not know is taken out in silence: "target" for "targets" would build for all.
    ajv: { customOptions: { removeAdditional: false, verbose: true } },
    schemaErrorFormatter: ([error], part) => new Error(error ? inWords(error, part) : "invalid"),
  });
  void server.register(cookie);
  void server.register(multipart, {
    limits: { fileSize: uploadLimitBytes, fieldSize: 64 * 1024, files: requestFiles.taken, parts: 3000 },
    throwFileSizeLimit: false,
    preservePath: true, // artifacts may lie in directories; the upload route checks their names
  });
  boundSlowReaders(server);
  server.addHook("onRequest", bodiesInTime());
  server.addHook("onRequest", refuseForeignHosts(served));
  server.addHook("onRequest", refuseForeignPages(served));
  stayBelow(server, controller.configuration.publicUrl);
  compressAnswers(server);
  server.setNotFoundHandler((request, reply) => refuseAsAsked(request, reply, 404, "There is no such page"));
  server.setErrorHandler<FastifyError>((error, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status !== 500) return refuseAsAsked(request, reply, status, error.message);
    // Not the whole error: that of a statement has its values, session tokens among them.
    controller.log.error(
      { reason: error.message, stack: error.stack, method: request.method, path: request.routeOptions.url },
      "a request failed",
    );
    return refuseAsAsked(request, reply, 500, "the controller failed; its log says why");
  });
  void server.register(async (agents) => {
    addBinaryBodies(agents, ["text/manifest", "application/octet-stream"]);
    addAgentRoutes(agents, served);
    addAliveRoute(agents, served);
    addResultRoute(agents, controller);
    addHandingOut(agents, served);
    addTreeHandingOut(agents, served);
  });
  void server.register(async (hooks) => addHooks(hooks, served));
  server.after(() => addRoutes(server, served));
  return server;
}

function addRoutes(server: FastifyInstance, served: Served): void {
  const { controller } = served;
  addWakeRoutes(server, served);
  addUploadRoute(server, controller);
  addDescription(server, served);
  addApiRoutes(server, served);
  addTreeSubmission(server, served);
  addFleetRoutes(server, served);
  addLogRoutes(server, served);
  addSecretRoutes(server, controller, "/api/v1", {
    by: (request) => request.submitter ?? null,
    onRequest: mayAdminister(served),
  });
  addDeliveryRoutes(server, controller, "/api/v1/deliveries", mayAdminister(served));
  addMonitoring(server, served);
  addFarmPages(server, served);
  addDashboard(server, served);
  addBadge(server, served);
  addBook(server, served);
  addApprovals(server, served);
  void server.register(async (pages) => addForms(pages, served));
}

/** A page for a browser's user, JSON for a program. */
function refuseAsAsked(request: FastifyRequest, reply: FastifyReply, status: number, reason: string) {
  return asksForPage(request) ? sendRefusal(reply, status, reason) : refuse(reply, status, reason);
}
