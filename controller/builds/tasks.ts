/** A build as the task manifest that an agent performs. */
import { Failure, reasonOf } from "../../os/failure.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { formatTask, type Task } from "../../manifests/task.ts";
import { portabilityProblem } from "../../manifests/portable-task.ts";
import { guessRepositoryType } from "../../manifests/repository.ts";
import { writtenArgumentList } from "../../manifests/values.ts";
import { auxiliaryMaximum } from "./auxiliary.ts";
import type { Specification } from "./specification.ts";

/** The task for a machine, and auxiliary ones by what the build calls them. */
export function taskFor(
  what: Specification,
  machine: string,
  auxiliaryMachines: Record<string, string> = {},
): Task {
  return {
    name: what.name,
    version: what.version,
    repositoryUrl: what.repository,
    repositoryType: what.repositoryType ?? guessRepositoryType(what.repository),
    trust: [],
    requires: [],
    tests: [],
    examples: [],
    benchmarks: [],
    machine,
    auxiliaryMachines,
    target: what.triplet,
    ...withoutUndefined({ environment: what.environment }),
    auxiliaryEnvironments: {},
    targetConfig: writtenArgumentList(what.targetConfiguration ?? ""),
    packageConfig: writtenArgumentList(what.packageConfiguration ?? ""),
    warningRegex: [...what.warnings],
    ...(what.variables === undefined ? {} : { variables: { ...what.variables } }),
    ...withoutUndefined({ interactive: what.interactive }),
  };
}

/** Why agents of other makes are not given a build; undefined if they are. */
export function croftOnlyReason(what: Specification): string | undefined {
  return portabilityProblem(taskFor(what, "any"));
}

/**
 * Makes sure that there is a task in it: a build that no agent can be told of would be given out again and again.
 *
 * @throws {Failure} naming the build and what is wrong.
 */
export function checkSpecification(what: Specification): void {
  try {
    const auxiliary = Object.keys(what.auxiliary ?? {});
    if (auxiliary.length > auxiliaryMaximum)
      throw new Failure(
        "use auxiliary machines",
        `there are ${auxiliary.length}, and ${auxiliaryMaximum} is the most`,
      );
    formatTask(taskFor(what, "any", Object.fromEntries(auxiliary.map((name) => [name, "any"]))));
  } catch (error) {
    throw new Failure(`make a task of ${what.name} for target '${what.target}'`, reasonOf(error), {
      cause: error,
    });
  }
}
