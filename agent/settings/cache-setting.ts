import { UsageFailure } from "../../os/failure.ts";
import { GiB, KiB, MiB } from "../../os/text/size.ts";

/** A cache that builds are given. */
export interface CacheSetting {
  name: string;
  /** How large it may get for each repository. */
  bytes: number;
  /** Directory whose content it has at first. */
  from?: string;
}

const bytesByDefault = 2 * GiB;
/** With less there is hardly room for a file system. */
const bytesMinimum = 16 * MiB;
const units: Record<string, number> = { KiB, MiB, GiB, TiB: 1024 * GiB };
const pattern = /^([a-z][a-z0-9-]*)(?:=([1-9]\d{0,5})(KiB|MiB|GiB|TiB)(?::(\/.*))?)?$/s;
/** A disk's serial number has 20 characters, and begins with `croft-`. */
const nameMaximum = 14;

/** Says what is wrong with a cache as an option has it, or undefined. */
export function checkCache(text: string): string | undefined {
  const read = readCache(text);
  return "error" in read ? read.error : undefined;
}

/** @throws {UsageFailure} for one that is not as {@link checkCache} wants it. */
export function parseCache(text: string): CacheSetting {
  const read = readCache(text);
  if ("error" in read) throw new UsageFailure(`use cache '${text}'`, read.error);
  return read;
}

function readCache(text: string): CacheSetting | { error: string } {
  const [, name, size, unit, from] = pattern.exec(text) ?? [];
  if (name === undefined) return { error: "expected NAME, NAME=SIZE or NAME=SIZE:DIR, as in ccache=4GiB" };
  if (name.length > nameMaximum) return { error: `expected a name of at most ${nameMaximum} characters` };
  const bytes = size === undefined ? bytesByDefault : Number(size) * units[unit!]!;
  if (bytes < bytesMinimum) return { error: "expected a size of at least 16MiB" };
  return { name, bytes, ...(from === undefined ? {} : { from }) };
}
