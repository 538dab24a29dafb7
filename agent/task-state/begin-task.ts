/** What is done before anything is done for a task: its directories are emptied, and it is written down. */
import { dirname } from "node:path";
import { attempt } from "../../os/failure.ts";
import { makeDirectoryDurably, syncDirectory } from "../../os/files/durable.ts";
import { freshDirectories } from "../../os/files/directories.ts";
import type { Task } from "../../manifests/task.ts";
import type { Directories } from "../settings/directories.ts";
import type { Settings } from "../settings/settings.ts";
import { assignmentOf } from "./assignment.ts";
import type { ReceivedTask } from "./received-task.ts";
import type { Spool, SpoolEntry } from "./spool.ts";

/**
 * Version of what the agent does with a task. A change invalidates what was built before: controllers send back the
 * one of a task's last build, and if it differs the worker must not skip. It names croft, as other agents count
 * theirs from 1, too, and one controller may serve both.
 */
export const agentChecksum = "croft-1";

/** What it takes to begin a task. */
export interface BeginContext {
  readonly settings: Pick<Settings, "trust">;
  readonly directories: Pick<Directories, "get" | "put">;
  readonly spool: Spool;
}

/** The task as the machine gets it: with the agent's own trust, and without a checksum of another agent's logic. */
export function effectiveTask(received: ReceivedTask, trust: readonly string[]): Task {
  const task = { ...received.task };
  if (trust.length > 0) task.trust = [...trust];
  if (received.response.agentChecksum !== agentChecksum) delete task.workerChecksum;
  return task;
}

/**
 * Empties the directories and then writes down what was promised, in this order also after a crash of the host.
 *
 * @throws {Failure} if there is no room for it, or it cannot be written for another reason.
 */
export async function beginTask(context: BeginContext, received: ReceivedTask): Promise<SpoolEntry> {
  const { get, put } = context.directories;
  const task = effectiveTask(received, context.settings.trust);
  const above = dirname(put);
  await attempt(`make the directory '${above}'`, makeDirectoryDurably(above, 0o700));
  await freshDirectories(get, put);
  await attempt(`write '${put}' to the disk`, syncDirectory(above));
  return context.spool.begin(assignmentOf(received, task));
}
