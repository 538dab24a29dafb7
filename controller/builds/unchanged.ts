/**
 * Builds that would come to the same as their last one. Its checksums go with the task: what the worker is, with the
 * environment, and what is built. The worker compares them once it has fetched the source, and if they are the same the
 * result is `skip`, without any operation.
 *
 * They are sent only if all else was the same, too: what was asked for, the machine's revision, the toolchain; and only
 * after a success. A warning is to be seen again, and what has failed since may not fail another time.
 */
import type { Sql } from "../database/database.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { Build } from "./build.ts";
import type { Session } from "./session.ts";
import type { Specification } from "./specification.ts";

/** Of a result, in its own words. */
export interface Checksums {
  workerChecksum: string;
  dependencyChecksum: string;
  /** What the agent's logic was; another one has the package built. */
  agentChecksum?: string;
}

/** So many of a package's builds for a target are looked at; of all branches and pull requests together. */
const lookedAt = 50;
/** None changes what a build comes to; what is in a tree is known when it was fetched. */
const immaterial = ["priority", "timeoutSeconds", "force", "tree", "cell"];

interface Last {
  status: string;
  worker_checksum: string | null;
  dependency_checksum: string | null;
  agent_checksum: string | null;
}

/** The checksums of a build's last one; undefined if it is to be built whatever they are. */
export async function unchangedSince(
  sql: Sql,
  build: Build,
  session: Pick<Session, "machine" | "machine_id" | "toolchain" | "toolchain_version">,
): Promise<Checksums | undefined> {
  const { machine_id: revision = null, toolchain_version: version = null } = session;
  if (!mayBeSkipped(build.specification) || revision === null || version === null) return undefined;
  const [last] = await sql.query<Last>(
    `select b.status, s.worker_checksum, s.dependency_checksum, s.agent_checksum from (
       select * from croft.builds where name = $1 and target = $2 and state in ('finished', 'cancelled') and id < $3
       order by id desc limit ${lookedAt}
     ) as b join croft.sessions s on s.id = b.session
     where b.status in ('skip', 'success', 'warning', 'error') and b.is_trusted = $4 and b.is_private = $5
       and b.specification - $6::text[] = $7::jsonb - $6::text[] and s.machine = $8 and s.machine_id = $9
       and s.toolchain = $10 and s.toolchain_version = $11
     order by b.id desc limit 1`,
    [
      ...[build.name, build.target, build.id, build.is_trusted, build.is_private],
      ...[immaterial, JSON.stringify(build.specification)],
      ...[session.machine, revision, session.toolchain, version],
    ],
  );
  if (last?.status !== "skip" && last?.status !== "success") return undefined;
  const { worker_checksum, dependency_checksum, agent_checksum } = last;
  if (!worker_checksum || !dependency_checksum) return undefined;
  return {
    workerChecksum: worker_checksum,
    dependencyChecksum: dependency_checksum,
    ...withoutUndefined({ agentChecksum: agent_checksum ?? undefined }),
  };
}

/** Secrets and auxiliary machines may have changed without anybody seeing it; a person wants to look. */
function mayBeSkipped({ force, secrets = [], auxiliary = {}, interactive }: Specification): boolean {
  return (
    force !== true && interactive === undefined && secrets.length === 0 && Object.keys(auxiliary).length === 0
  );
}

/** Writes down the last build that a skipped one would have come to the same as. */
export async function noteSame(
  sql: Sql,
  { name, target, id }: Pick<Build, "name" | "target" | "id">,
  { workerChecksum, dependencyChecksum }: Partial<Checksums>,
): Promise<void> {
  await sql.query(
    `update croft.builds set same_as = (
       select b.id from (
         select id, session from croft.builds where name = $1 and target = $2 and state = 'finished'
           and status in ('success', 'warning') and id < $3 order by id desc limit ${lookedAt}
       ) as b join croft.sessions s on s.id = b.session
       where s.worker_checksum = $4 and s.dependency_checksum = $5 order by b.id desc limit 1
     ) where id = $3`,
    [name, target, id, workerChecksum ?? null, dependencyChecksum ?? null],
  );
}
