/**
 * The agent's own HTTP server (`--status-listen`): `/healthz`, `/status`, `/metrics`.
 *
 * It runs in the agent's event loop, so that an answer proves that the loop turns; whoever asks must not be able to
 * slow it down: small requests only, a few connections, short patience, nothing computed anew for each request that
 * costs more than formatting it.
 *
 * node:http, and not fastify as in the controller: three fixed answers without parameters need no router and no
 * schemas, and an idle agent has to be small (docs/decisions/agent-status.md has the measurement).
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { Failure, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import { formatListenAddress } from "../../os/network/listen-address.ts";
import { metricsContentType } from "../../os/metrics.ts";
import { Callers } from "./callers.ts";
import { healthOf } from "./health.ts";
import type { Reported } from "./reported.ts";
import { statusReport } from "./status-report.ts";

/** What is answered with. */
interface Answer {
  status: number;
  type: string;
  body: string;
}

/** A server that listens; disposing of it ends its connections. */
export interface StatusServer extends AsyncDisposable {
  /** `http://ADDRESS:PORT`. */
  readonly url: string;
}

const connectionsMaximum = 32;
/** Of one address, so that others have places whatever it asks for. */
const requestsMaximum = connectionsMaximum / 2;

/**
 * Starts to listen.
 *
 * @throws {Failure} if the address cannot be listened on.
 */
export async function startStatusServer(
  listen: { address: string; port: number },
  reported: Reported,
  log: Log,
): Promise<StatusServer> {
  const callers = new Callers(reported, log);
  const hasPlace = requestPlaces();
  const server = createServer(
    {
      maxHeaderSize: 8 * 1024,
      headersTimeout: 5_000,
      requestTimeout: 10_000,
      keepAliveTimeout: 5_000,
      connectionsCheckingInterval: 2_000,
    },
    (request, response) => {
      if (!hasPlace(request, response)) return refuse(request, response);
      serve(request, response, reported, callers).catch((error: unknown) => {
        log.error({ reason: reasonOf(error) }, "a status request failed");
        if (response.headersSent) response.destroy();
        else send(request, response, text(500, "the agent cannot tell; its log says why"));
      });
    },
  );
  keepPlaces(server);
  server.setTimeout(10_000); // whoever asks, but does not read the answer
  try {
    server.listen(listen.port, listen.address);
    await once(server, "listening");
  } catch (error) {
    throw new Failure(
      `listen on ${formatListenAddress(listen.address, listen.port)} for --status-listen`,
      reasonOf(error),
      {
        cause: error,
        hints: [`See who does: ss -tlnp 'sport = :${listen.port}'`, "Each instance needs a port of its own."],
      },
    );
  }
  server.on("error", (error) => log.warn({ reason: reasonOf(error) }, "status server"));
  const url = `http://${formatListenAddress(listen.address, (server.address() as AddressInfo).port)}`;
  log.info({ url }, "status pages");
  return { url, [Symbol.asyncDispose]: () => close(server) };
}

/**
 * Of too many connections that one goes which has waited longest for its request: machines may make as many as they like,
 * and whoever asks at once is served.
 */
function keepPlaces(server: Server): void {
  const all = new Set<Socket>();
  const waiting = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    all.add(socket);
    waiting.add(socket);
    socket.once("close", () => void (all.delete(socket), waiting.delete(socket)));
    if (all.size <= connectionsMaximum) return;
    const [longest = socket] = waiting;
    all.delete(longest);
    waiting.delete(longest);
    longest.destroy();
  });
  server.prependListener("request", ({ socket }, response) => {
    waiting.delete(socket);
    response.once("close", () => void (all.has(socket) && waiting.add(socket)));
  });
}

/** Says of each request whether its address may have another one answered meanwhile, and counts it. */
function requestPlaces(): (request: IncomingMessage, response: ServerResponse) => boolean {
  const taken = new Map<string, number>();
  return ({ socket: { remoteAddress: peer = "" } }, response) => {
    const before = taken.get(peer) ?? 0;
    if (before >= requestsMaximum) return false;
    taken.set(peer, before + 1);
    response.once("close", () => {
      const left = (taken.get(peer) ?? 1) - 1;
      if (left > 0) taken.set(peer, left);
      else taken.delete(peer);
    });
    return true;
  };
}

function refuse(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader("Retry-After", "1").setHeader("Connection", "close");
  const reason = `${requestsMaximum} requests of your address are being answered, and that is all it gets at a time`;
  send(request, response, text(429, reason));
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  reported: Reported,
  callers: Callers,
): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("Allow", "GET, HEAD");
    return send(request, response, text(405, "only GET and HEAD"));
  }
  if (await callers.isMachine(request.socket)) {
    response.setHeader("Connection", "close"); // it needs no place
    return send(request, response, text(403, "not for machines"));
  }
  const [path = ""] = (request.url ?? "").split("?", 1);
  send(request, response, await answer(path, reported));
}

async function answer(path: string, reported: Reported): Promise<Answer> {
  switch (path) {
    case "/healthz": {
      const health = healthOf(reported.status, reported.settings);
      return health.healthy ? text(200, "ok") : text(503, health.reason);
    }
    case "/status":
      return {
        status: 200,
        type: "application/json; charset=utf-8",
        body: `${JSON.stringify(await statusReport(reported), null, 2)}\n`,
      };
    case "/metrics":
      return { status: 200, type: metricsContentType, body: await reported.metrics.registry.format() };
    default:
      return text(404, "there are /healthz, /status and /metrics");
  }
}

function text(status: number, body: string): Answer {
  return { status, type: "text/plain; charset=utf-8", body: `${body}\n` };
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body }: Answer): void {
  // A body that nobody asked for is not read to its end.
  if (request.headers["content-length"] !== undefined || request.headers["transfer-encoding"] !== undefined)
    response.setHeader("Connection", "close");
  response.writeHead(status, {
    "Content-Type": type,
    "Content-Length": Buffer.byteLength(body),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
