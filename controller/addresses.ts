/** By which URLs a controller is reached, as far as its configuration does not say it. */
import type { FastifyRequest } from "fastify";

/** Whether it listens on all addresses, so that none of them is its name. */
export function isWildcard(host: string): boolean {
  return /^(0\.0\.0\.0|[0:]+)$/.test(host);
}

/** An agent of another host cannot send its result to `0.0.0.0`, but to where it asked for the task. */
export function urlAskedFor(scheme: string, request: FastifyRequest | undefined): string | undefined {
  const host = request?.headers.host ?? "";
  return /^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$/.test(host) ? `${scheme}://${host}` : undefined;
}

/** Where the connection of a request came to: `http://ADDRESS:PORT`, and its other name if it has one. */
export function addressesOf(scheme: string, { socket }: FastifyRequest): string[] {
  const address = (socket.localAddress ?? "").replace(/^::ffff:(?=\d+\.)/, "").replace(/%.*$/, "");
  const hosts = [address.includes(":") ? `[${address}]` : address];
  if (/^(127\.|::1$)/.test(address)) hosts.push("localhost");
  return hosts.map((host) => `${scheme}://${host}:${socket.localPort}`);
}
