/** From the text of a `.croft.yaml` to what it asks for. */
import { checkedText } from "../../os/command-line/checked-configuration.ts";
import { UsageFailure } from "../../os/failure.ts";
import { matchesPattern } from "../builds/name-pattern.ts";
import type { AuxiliaryPatterns } from "../builds/auxiliary.ts";
import { isReserved } from "../secrets/reserved-variables.ts";
import { nextTime } from "./clock.ts";
import { sourceFileSchema, type Schedule, type SourceFile } from "./schema.ts";

/** Where it lies in a repository. */
export const sourceFileName = ".croft.yaml";

/** What the controller's configuration lets a repository ask for. */
interface Allowed {
  /** Names of targets. */
  targets: readonly string[];
  /** Names of notifications. */
  notifications: readonly string[];
  /** Names and patterns of auxiliary machines. */
  auxiliary: readonly string[];
}

/** A build that a file asks for: for each of its targets, and versions. */
export interface WantedBuild {
  /** Undefined: the only one of a file that names none. */
  name?: string;
  needs: readonly string[];
  targets: readonly string[];
  versions: readonly string[];
  environment?: string;
  config?: string;
  variables?: Readonly<Record<string, string>>;
  auxiliary?: AuxiliaryPatterns;
  notifications: readonly string[];
  keep: boolean;
}

/** What a file asks for. */
export interface Wanted {
  builds: readonly WantedBuild[];
  schedules: readonly Schedule[];
}

/**
 * Reads a file's text.
 *
 * @throws {UsageFailure} naming file, line, column and key.
 */
export function readWanted(text: string, allowed: Allowed): Wanted {
  const { value, failure } = parsed(text);
  const checks = new Checks(value, allowed, failure);
  checks.all();
  const { builds, schedule: schedules = [], ...usual } = value;
  return {
    builds: builds ? builds.map((one) => wanted(together(usual, one), allowed)) : [wanted(usual, allowed)],
    schedules,
  };
}

/** What is asked for where there is no file. */
export function usualWanted(allowed: Allowed): Wanted {
  return { builds: [wanted({}, allowed)], schedules: [] };
}

/** Deeper than anybody nests what the schema knows. */
const mostNesting = 20;

/** The reader takes seconds for what is nested thousands of times, and all that time nobody is answered. */
function parsed(text: string) {
  let open = 0;
  for (const [index, line] of text.split("\n").entries()) {
    const marks = /^(?:[ \t]*[-?:][ \t])*/.exec(line)![0].match(/[-?:]/g)?.length ?? 0;
    for (const character of line)
      if ("[{".includes(character)) open++;
      else if ("]}".includes(character) && open > 0) open--;
    if (marks > mostNesting || open > mostNesting || /^ {200}/.test(line))
      throw new UsageFailure(
        `use configuration '${sourceFileName}'`,
        `${sourceFileName}:${index + 1}:1: it is nested too deeply`,
      );
  }
  return checkedText(text, sourceFileName, sourceFileSchema);
}

type DeclaredBuild = Partial<NonNullable<SourceFile["builds"]>[number]>;

/** A build's own keys win over those at the top; of variables and auxiliary machines each by its name. */
function together(usual: DeclaredBuild, own: DeclaredBuild): DeclaredBuild {
  const variables = { ...usual.variables, ...own.variables };
  const auxiliary = { ...usual.auxiliary, ...own.auxiliary };
  return { ...usual, ...own, variables, auxiliary };
}

function wanted(declared: DeclaredBuild, { targets, notifications }: Allowed): WantedBuild {
  const { name, needs = [], targets: patterns = ["*"], versions = ["0"], environment, config } = declared;
  return {
    ...(name === undefined ? {} : { name }),
    needs,
    targets: targets.filter((target) => patterns.some((pattern) => matchesPattern(pattern, target))),
    versions,
    ...(environment === undefined ? {} : { environment }),
    ...(config === undefined ? {} : { config }),
    ...(isEmpty(declared.variables) ? {} : { variables: declared.variables! }),
    ...(isEmpty(declared.auxiliary) ? {} : { auxiliary: declared.auxiliary! }),
    notifications: declared.notifications ?? notifications,
    keep: declared.artifacts?.keep ?? false,
  };
}

function isEmpty(values: object | undefined): boolean {
  return values === undefined || Object.keys(values).length === 0;
}

type Fail = ReturnType<typeof checkedText<typeof sourceFileSchema>>["failure"];

/** What the schema cannot say: that names are those of something. */
class Checks {
  readonly #file: SourceFile;
  readonly #allowed: Allowed;
  readonly #fail: Fail;

  constructor(file: SourceFile, allowed: Allowed, fail: Fail) {
    this.#file = file;
    this.#allowed = allowed;
    this.#fail = fail;
  }

  all(): void {
    const { builds = [], schedule = [], targets } = this.#file;
    this.#targets(targets, ["targets"]);
    this.#named(this.#file, []);
    const names = builds.map(({ name }) => name);
    builds.forEach((one, index) => {
      const path = ["builds", index] as const;
      if (names.indexOf(one.name) < index)
        throw this.#fail([...path, "name"], `there are two called '${one.name}'`);
      this.#targets(one.targets, [...path, "targets"]);
      this.#named(one, path);
      this.#known(one.needs, names, [...path, "needs"]);
    });
    this.#circles();
    schedule.forEach((one, index) => {
      this.#known(one.builds, names, ["schedule", index, "builds"]);
      this.#times(one, ["schedule", index]);
    });
  }

  #targets(patterns: readonly string[] | undefined, path: readonly (string | number)[]): void {
    for (const [index, pattern] of (patterns ?? []).entries())
      if (!this.#allowed.targets.some((name) => matchesPattern(pattern, name)))
        throw this.#fail([...path, index], `there is no target '${pattern}' for this repository`, {
          hints: [`Targets: ${this.#allowed.targets.join(", ")}`],
        });
  }

  /** What is of the controller's: nobody names a machine or an address here that its administrator has not. */
  #named({ variables, auxiliary, notifications }: DeclaredBuild, path: readonly (string | number)[]): void {
    for (const name of Object.keys(variables ?? {}))
      if (isReserved(name))
        throw this.#fail([...path, "variables", name], "a build has a variable of this name already");
    for (const [name, machine] of Object.entries(auxiliary ?? {}))
      if (!this.#allowed.auxiliary.some((pattern) => isWithin(machine, pattern)))
        throw this.#fail(
          [...path, "auxiliary", name],
          `there is no auxiliary machine '${machine}' for this repository`,
          { hints: hintOf("Machines", this.#allowed.auxiliary) },
        );
    for (const [index, name] of (notifications ?? []).entries())
      if (!this.#allowed.notifications.includes(name))
        throw this.#fail(
          [...path, "notifications", index],
          `there is no notification '${name}' for this repository`,
          { hints: hintOf("Notifications", this.#allowed.notifications) },
        );
  }

  #known(
    given: readonly string[] | undefined,
    names: readonly string[],
    path: readonly (string | number)[],
  ): void {
    for (const [index, one] of (given ?? []).entries())
      if (!names.includes(one))
        throw this.#fail([...path, index], `there is no build '${one}'`, {
          hints: names.length > 0 ? [`Builds: ${names.join(", ")}`] : [],
        });
  }

  /** Takes away what needs nothing that is left, until nothing is; what cannot be taken needs itself. */
  #circles(): void {
    const left = new Map((this.#file.builds ?? []).map(({ name, needs = [] }) => [name, needs]));
    for (let before = -1; before !== left.size;) {
      before = left.size;
      for (const [name, needs] of left) if (!needs.some((need) => left.has(need))) left.delete(name);
    }
    const [first] = left.keys();
    if (first === undefined) return;
    const index = this.#file.builds!.findIndex(({ name }) => name === first);
    throw this.#fail(["builds", index, "needs"], `'${first}' waits for itself, by way of what it needs`);
  }

  #times({ cron, zone }: Schedule, path: readonly (string | number)[]): void {
    try {
      nextTime({ cron, zone: "UTC" }, new Date());
    } catch (error) {
      throw this.#fail([...path, "cron"], (error as Error).message, { cause: error });
    }
    try {
      new Intl.DateTimeFormat("en", { timeZone: zone ?? "UTC" });
    } catch (error) {
      throw this.#fail([...path, "zone"], `there is no time zone '${zone}'`, { cause: error });
    }
  }
}

/** Whether all that one pattern stands for another one does, too. */
function isWithin(pattern: string, other: string): boolean {
  return pattern === other || other === "*" || (!/[*?]/.test(pattern) && matchesPattern(other, pattern));
}

function hintOf(what: string, names: readonly string[]): string[] {
  return names.length > 0 ? [`${what}: ${names.join(", ")}`] : [];
}
