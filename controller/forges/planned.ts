/** From what a `.croft.yaml` wants to what is queued: at once, and when what it needs has succeeded. */
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { Submission } from "../builds/specification.ts";
import type { WantedBuild } from "../source-file/check.ts";
import type { ForgeEvent } from "./event.ts";
import { submissionFor } from "./forge-events.ts";
import type { Repository } from "./repositories.ts";

/** One build of a file, for each of its targets and versions. */
export interface PlannedBuild {
  /** Empty for the only one of a file that names none. */
  name: string;
  needs: readonly string[];
  submissions: readonly Submission[];
  isKept: boolean;
}

/** What is queued for an event; of a schedule only the builds that it names, which then need those of the others no more. */
export function plannedBuilds(
  repository: Repository,
  event: ForgeEvent,
  builds: readonly WantedBuild[],
): PlannedBuild[] {
  const chosen = builds.filter(({ name }) => !event.only?.length || event.only.includes(name ?? ""));
  const names = chosen.map(({ name }) => name ?? "");
  return chosen.map((wanted) => ({
    name: wanted.name ?? "",
    needs: wanted.needs.filter((need) => names.includes(need)),
    submissions: wanted.versions.map((version) => submissionOf(repository, event, wanted, version)),
    // Nobody who is not trusted fills the disk for ever.
    isKept: wanted.keep && event.kind !== "pull-request",
  }));
}

function submissionOf(
  repository: Repository,
  event: ForgeEvent,
  wanted: WantedBuild,
  version: string,
): Submission {
  const { name, targets, versions, environment, config, variables, auxiliary, notifications } = wanted;
  const usual = submissionFor(repository, event);
  const label = [name, versions.length > 1 ? version : undefined].filter((part) => part !== undefined);
  return {
    ...usual,
    name: name === undefined ? usual.name : `${usual.name}-${name}`,
    version,
    targets,
    ...(environment === undefined ? {} : { environment }),
    ...(config === undefined ? {} : { configuration: config }),
    ...withoutUndefined({ variables, auxiliary }),
    notifications,
    ...(label.length === 0 ? {} : { label: label.join("/") }),
  };
}
