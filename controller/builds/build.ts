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
  /** How many of them its machine, or the build itself, made end with `abort`. */
  aborts: number;
  /** How many its host lost, or could not do. */
  faults: number;
  /** How many were interrupted. */
  interrupts: number;
  /** The host whose fault it is that the build waits again; null otherwise. */
  faulty_host: string | null;
  /** Hosts that have refused it: others may do what they cannot. */
  refused_by: readonly string[];
  submitted_by: string | null;
  rebuild_of: number | null;
  /** The first build of those that were asked for together; null: it is the only one. */
  submission: number | null;
  /** Whether other agents than croft's cannot read its task. */
  croft_only: boolean;
  /** Whether it is kept whatever its age. */
  pinned: boolean;
  /** What a forge told of that it is built for; null if somebody submitted it. */
  event: number | null;
  /** Whether its package's badge tells of it. */
  on_badge: boolean;
  /** Whether the controller itself knows where its commit came from: its machines may have secrets. */
  is_trusted: boolean;
  /** Whether it has secrets, its repository needs a credential, or it was somebody's working tree: nobody reads of it without a token. */
  is_private: boolean;
  /** Digest of the archive of the working tree that it is to build; null if it has a repository. */
  tree: string | null;
  /** Of one that was skipped: the build whose result it would have had again. */
  same_as?: number | null;
  created_at: Date;
  queued_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
}
