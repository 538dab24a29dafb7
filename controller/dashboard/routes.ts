import type { FastifyInstance } from "fastify";
import type { Served } from "../routes/served.ts";

export function addDashboard(_server: FastifyInstance, _served: Served): void {}
