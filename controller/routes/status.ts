/** For monitoring: `/healthz` (the process answers), `/readyz` (and its database does), `/metrics` (Prometheus). */
import type { FastifyInstance } from "fastify";
import { packageVersion } from "../../host/package.ts";
import { mayRead } from "./access.ts";
import { refuse, type Served } from "./served.ts";

/** Adds the routes for monitoring. */
export function addStatusRoutes(server: FastifyInstance, served: Served): void {
  const { controller } = served;
  server.get("/healthz", (_request, reply) => reply.type("text/plain").send("ok\n"));

  server.get("/readyz", async (_request, reply) => {
    try {
      await controller.database.query("select 1");
    } catch {
      return refuse(reply, 503, "the database does not answer");
    }
    return reply.type("text/plain").send("ok\n");
  });

  server.get("/metrics", { onRequest: mayRead(served) }, async (_request, reply) => {
    const counts = await controller.builds.count();
    const lines = [
      "# TYPE croft_info gauge",
      `croft_info{version="${packageVersion}"} 1`,
      "# TYPE croft_builds gauge",
      ...Object.entries(counts).map(([state, count]) => `croft_builds{state="${state}"} ${count}`),
      "# TYPE process_resident_memory_bytes gauge",
      `process_resident_memory_bytes ${process.memoryUsage.rss()}`,
      "# TYPE process_start_time_seconds gauge",
      `process_start_time_seconds ${(performance.timeOrigin / 1000).toFixed(3)}`,
    ];
    return reply.type("text/plain; version=0.0.4; charset=utf-8").send(`${lines.join("\n")}\n`);
  });
}
