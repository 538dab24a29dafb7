/** A build as the database has it. */
import type { Specification } from "./specification.ts";

export type BuildState = "queued" | "building" | "finished" | "cancelled";

/** A row of the builds table. */
export interface Build {
  id: number;
  name: string;
  version: string;
  target: string;
  repository: string;
  specification: Specification;
  queue: string;
  priority: number;
  queue_priority: number;
  state: BuildState;
  status: string | null;
  session: number | null;
  attempts: number;
  aborts: number;
  submitted_by: string | null;
  rebuild_of: number | null;
  created_at: Date;
  queued_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
}
