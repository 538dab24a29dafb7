/** What a host has for auxiliary machines: memory, and the numbers that tell machines of a host apart. */
import { auxiliaryRamDefaultKiB } from "../../manifests/limits.ts";
import { availableMemoryKiB } from "../../os/memory.ts";
import type { Settings } from "./settings.ts";

/** So many a task may name. */
export const auxiliaryMaximum = 9;

/** Offsets of build machines end below it. */
const firstOffset = 10_000;
/** The packet filter has 16 bits for an interface's number. */
const offsetLimit = 65_536;

/** Number of an auxiliary machine of an instance on this host, as an offset is that of its build machine. */
export function auxiliaryOffset(offset: number, number: number): number {
  return firstOffset + (offset - 1) * auxiliaryMaximum + number;
}

/** Why this agent runs no auxiliary machines; undefined if it does. */
export function auxiliaryObstacle({
  fakeMachine,
  offset,
}: Pick<Settings, "fakeMachine" | "offset">): string | undefined {
  if (fakeMachine !== undefined) return "its machine is a fake one";
  return auxiliaryOffset(offset, auxiliaryMaximum) < offsetLimit
    ? undefined
    : "the number of its toolchain is too high";
}

/** Memory for auxiliary machines, in KiB; by default what is available now, less what the instances' machines may take. */
export function auxiliaryRamKiB(
  { auxiliaryRam, ramKiB, instance, instanceMax }: AuxiliaryRamSettings,
  availableKiB = availableMemoryKiB,
): number {
  if (auxiliaryRam !== "auto") return auxiliaryRam;
  return Math.max(0, availableKiB() - ramKiB * Math.max(1, instance, instanceMax));
}

type AuxiliaryRamSettings = Pick<Settings, "auxiliaryRam" | "ramKiB" | "instance" | "instanceMax">;

/** What a machine says about the memory that it needs, in KiB. */
interface RamNeed {
  ramMinimumKiB?: number;
  ramMaximumKiB?: number;
}

/**
 * Shares memory among auxiliary machines: each gets what a build machine gets, within what it says it needs; where that is
 * too much for all, each has its minimum, and what it wants beyond that in proportion.
 *
 * @returns undefined if the minimums are more than there is.
 */
export function shareRam(
  totalKiB: number,
  usualKiB: number,
  machines: readonly RamNeed[],
): number[] | undefined {
  const needs = machines.map(({ ramMinimumKiB, ramMaximumKiB = Infinity }) => {
    const least = Math.min(ramMinimumKiB ?? auxiliaryRamDefaultKiB, ramMaximumKiB);
    return { least, wanted: Math.min(Math.max(usualKiB, least), ramMaximumKiB) };
  });
  const sum = (numbers: readonly number[]) => numbers.reduce((all, each) => all + each, 0);
  const least = sum(needs.map((need) => need.least));
  const more = sum(needs.map((need) => need.wanted - need.least));
  if (least > totalKiB) return undefined;
  const part = more === 0 ? 0 : Math.min(1, (totalKiB - least) / more);
  return needs.map((need) => need.least + Math.floor((need.wanted - need.least) * part));
}
