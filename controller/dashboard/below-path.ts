/** Keeps pages below the path of `public-url` (`https://host/farm`), which a proxy takes off each request. */
import type { FastifyInstance } from "fastify";

/** The attributes of our templates that hold addresses; a quote in anything put into one is escaped. */
const addresses = /\b(href|src|action|data-changes|data-follow)="(?=\/(?!\/))/g;

/** Puts the path before all addresses of pages and redirects that begin at the root. */
export function stayBelow(server: FastifyInstance, publicUrl: string | undefined): void {
  const path = publicUrl === undefined ? "" : new URL(publicUrl).pathname.replace(/\/+$/, "");
  if (path === "") return;
  server.addHook("onSend", async (_request, reply, payload) => {
    const location = reply.getHeader("location");
    if (typeof location === "string" && /^\/(?!\/)/.test(location)) reply.header("location", path + location);
    const isPage = String(reply.getHeader("content-type")).startsWith("text/html");
    return isPage && typeof payload === "string" ? payload.replace(addresses, `$1="${path}`) : payload;
  });
}
