import { freeBytes } from "../../os/files/free-space.ts";
import { Failure } from "../../os/failure.ts";
import { formatBytes, GiB, MiB } from "../../os/text/size.ts";
import type { ImageKind, Recipe } from "./recipe.ts";

/** What making takes for a while, and what is left of it: measured, with room for some more packages. */
const needs: Record<ImageKind, { making: number; left: number }> = {
  minimal: { making: 512 * MiB, left: 64 * MiB },
  debian: { making: 4 * GiB, left: 1.3 * GiB },
};

/**
 * Looks whether there is room for making a machine.
 *
 * @param free bytes; by default what the directory's file system has.
 * @returns what was found, in words.
 * @throws {Failure} if there is not enough.
 */
export async function checkSpace(directory: string, { kind }: Recipe, free?: number): Promise<string> {
  free ??= await freeBytes(directory);
  const { making, left } = needs[kind];
  const need = `${formatBytes(making)} while it is made, ${formatBytes(left)} afterwards`;
  if (free < making)
    throw new Failure("make a machine", `it takes about ${need}, and ${formatBytes(free)} are free`, {
      hints: ["See what takes space: croft machine list, and croft machine show NAME."],
    });
  return `space: about ${need}; ${formatBytes(free)} are free`;
}
