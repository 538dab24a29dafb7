/** Auxiliary machines: what builds ask for, and what of that an agent offers. */
import { auxiliaryRamDefaultKiB } from "../../manifests/limits.ts";
import type { TaskRequest } from "../../manifests/task-request.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { matchesPattern } from "./name-pattern.ts";

/** Patterns of the names of machines that will do, by what the build calls the machine. */
export type AuxiliaryPatterns = Readonly<Record<string, string>>;

/** What an agent offers of them. */
export interface AuxiliaryOffer {
  auxiliaries?: readonly { name: string; ramMinimumKiB?: number }[];
  /** For all of a task; absent: any. */
  auxiliaryRamKiB?: number;
}

/** So many machines a task may name. */
export const auxiliaryMaximum = 9;
/** What the build calls one: part of the name of a manifest's value, and of variables. */
export const auxiliaryNamePattern = "^[a-z][a-z0-9_-]{0,49}$";

/** An agent's memory changes with every question; offers that differ by less than this, in KiB, are the same. */
const ramStepKiB = 262_144;

/** The part of an offer that is about auxiliary machines; nothing if there are none. */
export function auxiliaryOfferOf({ machines, auxiliaryRamKiB }: TaskRequest): AuxiliaryOffer {
  const auxiliaries = machines
    .filter(({ role }) => role === "auxiliary")
    .map(({ name, ramMinimumKiB }) => ({ name, ...withoutUndefined({ ramMinimumKiB }) }));
  if (auxiliaries.length === 0) return {};
  const rounded =
    auxiliaryRamKiB === undefined ? undefined : auxiliaryRamKiB - (auxiliaryRamKiB % ramStepKiB);
  return { auxiliaries, ...withoutUndefined({ auxiliaryRamKiB: rounded }) };
}

/**
 * Machines for what a build asks for, each machine once.
 *
 * @returns undefined if the offer lacks one, or the memory for them.
 */
export function auxiliariesFor(
  patterns: AuxiliaryPatterns,
  { auxiliaries = [], auxiliaryRamKiB = Infinity }: AuxiliaryOffer,
): Record<string, string> | undefined {
  const free = [...auxiliaries];
  const chosen: Record<string, string> = {};
  let neededKiB = 0;
  // What fits fewer machines is served first: another may have taken the only one otherwise.
  const fitting = (pattern: string) =>
    auxiliaries.filter((each) => matchesPattern(pattern, each.name)).length;
  const wanted = Object.entries(patterns).sort((a, b) => fitting(a[1]) - fitting(b[1]));
  for (const [name, pattern] of wanted) {
    const at = free.findIndex((machine) => matchesPattern(pattern, machine.name));
    if (at < 0) return undefined;
    const [machine] = free.splice(at, 1);
    chosen[name] = machine!.name;
    neededKiB += machine!.ramMinimumKiB ?? auxiliaryRamDefaultKiB;
  }
  return neededKiB <= auxiliaryRamKiB ? chosen : undefined;
}
