import { freeBytes } from "../../os/files/free-space.ts";
import { formatBytes, GiB, MiB } from "../../os/text/size.ts";
import { ok, problem, warning, type Finding } from "./check.ts";

/** Below the first it is a problem, below the second a warning; in bytes. */
export interface SpaceNeed {
  least: number;
  comfortable: number;
}

/** Looks at the free space of the file system that a path is on. */
export async function checkSpace(subject: string, path: string, need: SpaceNeed): Promise<Finding> {
  return judgeSpace(subject, path, await freeBytes(path), need);
}

export function judgeSpace(subject: string, path: string, bytes: number, need: SpaceNeed): Finding {
  const found = `${formatBytes(bytes)} free at ${path}`;
  const fix = `See what takes it: du -xh --max-depth=2 ${path} | sort -h`;
  if (bytes < need.least) return problem(subject, `${found}, ${formatBytes(need.least)} are needed`, fix);
  if (bytes < need.comfortable)
    return warning(subject, `${found}, less than ${formatBytes(need.comfortable)}`, fix);
  return ok(subject, found);
}

/** Space for metadata of a btrfs file system, in bytes. */
export interface BtrfsMetadata {
  size: number;
  used: number;
  /** Of it, what the file system keeps for removing files when nothing else is left. */
  reserved: number;
  /** Could become metadata's. */
  unallocated: number;
}

/** Reads the output of `btrfs filesystem usage -b`; undefined if it is not understood. */
export function parseBtrfsUsage(text: string): BtrfsMetadata | undefined {
  const unallocated = /^\s*Device unallocated:\s+(\d+)/m.exec(text)?.[1];
  const groups = [...text.matchAll(/^Metadata(?:\+Data)?,[^:\n]*: Size:(\d+), Used:(\d+)/gm)];
  if (unallocated === undefined || groups.length === 0) return undefined;
  const reserved = Number(/^\s*Global reserve:\s+(\d+)/m.exec(text)?.[1] ?? 0);
  const sum = (index: 1 | 2) => groups.reduce((total, group) => total + Number(group[index]), 0);
  return { size: sum(1), used: sum(2), reserved, unallocated: Number(unallocated) };
}

const leastFree = 8 * MiB;

/** A btrfs file system is full when its metadata is, whatever df(1) says. */
export function judgeMetadata(path: string, { size, used, reserved, unallocated }: BtrfsMetadata): Finding {
  const subject = "btrfs metadata";
  const found = `${formatBytes(used)} of ${formatBytes(size)} used at ${path}, ${formatBytes(unallocated)} not allocated`;
  const fix =
    "Remove what is not needed (croft machine remove NAME; btrfs subvolume list shows snapshots of others), " +
    `or give back half-empty chunks: btrfs balance start -dusage=30 ${path}`;
  const free = size - used - reserved;
  // Allocated by the chunk, usually 256 MiB to 1 GiB, and twice where it is kept double.
  // A change is refused while it might not fit: some MiB before the end.
  if ((used > 0.97 * size || free < leastFree) && unallocated < 64 * MiB)
    return problem(subject, `${found}: it is full`, fix);
  if (used > 0.8 * size && unallocated < GiB) return warning(subject, `${found}: it will soon be full`, fix);
  return ok(subject, found);
}
