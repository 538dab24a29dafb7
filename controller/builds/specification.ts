/** What is to be built: what a submission asks for, and what its target adds. */
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { AuxiliaryPatterns } from "./auxiliary.ts";

/** What a build is made for: which machines may build it, and how. */
export interface Target {
  name: string;
  /** Pattern of the names of machines that will do. */
  machine: string;
  /** Pattern of the toolchain's name. */
  toolchain: string;
  triplet: string;
  environment?: string;
  /** Auxiliary machines of every build of this target. */
  auxiliary?: AuxiliaryPatterns;
  /** Arguments for every build of this target. */
  configuration?: string;
  warnings: readonly string[];
  timeoutSeconds: number;
  /** How many of its builds may run at once; absent: as many as there are agents. */
  limit?: number;
}

/** What a submission asks for; one build for each target that a pattern names. */
export interface Submission {
  name: string;
  version: string;
  repository: string;
  repositoryType?: "pkg" | "dir" | "git";
  targets: readonly string[];
  machine?: string;
  auxiliary?: AuxiliaryPatterns;
  environment?: string;
  configuration?: string;
  interactive?: string;
  /** Names of secrets, which its builds have as variables. */
  secrets?: readonly string[];
  /** What its builds have in their environment; anybody may read it. */
  variables?: Readonly<Record<string, string>>;
  /** Names of notifications that are told of its builds, besides those that are told of its package. */
  notifications?: readonly string[];
  priority: number;
  /** Built, also if nothing has changed since the last time. */
  force?: boolean;
  /** What tells it from others for the same commit and target, such as `lint` or `lint/1.2`. */
  label?: string;
  /** Digest of the archive that came with it, if its source is a working tree. */
  tree?: string;
  cell?: Cell;
}

/** The place of a build in a matrix, of which all builds of its name are cells. */
interface Cell {
  row: string;
  column: number;
  /** Of the column, for people. */
  title?: string;
}

/** What a task is made from; kept with the build. */
export interface Specification {
  name: string;
  version: string;
  repository: string;
  repositoryType?: "pkg" | "dir" | "git";
  target: string;
  triplet: string;
  machine: string;
  /** Patterns of auxiliary machines by name; absent from builds of earlier versions, and where there are none. */
  auxiliary?: AuxiliaryPatterns;
  toolchain: string;
  environment?: string;
  targetConfiguration?: string;
  packageConfiguration?: string;
  warnings: readonly string[];
  interactive?: string;
  /** Names of secrets. */
  secrets?: readonly string[];
  variables?: Readonly<Record<string, string>>;
  /** Names of notifications. */
  notifications?: readonly string[];
  priority: number;
  timeoutSeconds: number;
  /** Absent: skipped if nothing has changed (unchanged.ts). */
  force?: boolean;
  label?: string;
  tree?: string;
  cell?: Cell;
}

/** What a submission asks for and its target adds. */
export function specificationFor(submission: Submission, target: Target): Specification {
  const environment = submission.environment ?? target.environment;
  const auxiliary = { ...target.auxiliary, ...submission.auxiliary };
  return {
    name: submission.name,
    version: submission.version,
    repository: submission.repository,
    ...withoutUndefined({ repositoryType: submission.repositoryType }),
    target: target.name,
    triplet: target.triplet,
    machine: submission.machine ?? target.machine,
    ...(Object.keys(auxiliary).length > 0 ? { auxiliary } : {}),
    toolchain: target.toolchain,
    ...withoutUndefined({
      environment,
      targetConfiguration: target.configuration,
      packageConfiguration: submission.configuration,
    }),
    warnings: target.warnings,
    ...withoutUndefined({ interactive: submission.interactive }),
    ...(submission.secrets?.length ? { secrets: submission.secrets } : {}),
    ...withoutUndefined({ variables: submission.variables }),
    ...(submission.notifications?.length ? { notifications: submission.notifications } : {}),
    priority: submission.priority,
    timeoutSeconds: target.timeoutSeconds,
    ...(submission.force === true ? { force: true } : {}),
    ...withoutUndefined({ label: submission.label, tree: submission.tree, cell: submission.cell }),
  };
}
