/** For monitoring: `/healthz` (the process answers), `/readyz` (and its database does), `/metrics` (Prometheus). */
import type { FastifyInstance } from "fastify";
import { addProcessMetrics, metricsContentType, MetricRegistry } from "../../os/metrics.ts";
import { packageVersion } from "../../os/files/package.ts";
import type { Controller } from "../controller.ts";
import { mayRead } from "./access.ts";
import { refuse, type Served } from "./served.ts";

/** Adds the routes for monitoring. */
export function addStatusRoutes(server: FastifyInstance, served: Served): void {
  const { controller } = served;
  const registry = controllerMetrics(controller);
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
    return reply.type(metricsContentType).send(await registry.format());
  });
}

function controllerMetrics({ builds, wakeUps }: Controller): MetricRegistry {
  const registry = new MetricRegistry();
  registry.gauge("croft_info", "Always 1; the label says which version this is.", ["version"]).set(1, {
    version: packageVersion,
  });
  const counts = registry.gauge("croft_builds", "Builds by state.", ["state"]);
  const waiting = registry.gauge(
    "croft_waiting_agents",
    "Idle agents that this controller wakes for builds.",
  );
  registry.onCollect(async () => {
    waiting.set(wakeUps.count);
    for (const [state, count] of Object.entries(await builds.count())) counts.set(count, { state });
  });
  addProcessMetrics(registry);
  return registry;
}
