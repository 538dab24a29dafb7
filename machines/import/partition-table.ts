/** What the first sectors of a disk tell: whether a machine here can start from it, and whether it is all there. */

const sectorBytes = 512;
/** The first sector, and the header and the entries of a GPT behind it. */
export const tableBytes = 34 * sectorBytes;

/** Types of partitions that tell an architecture (UAPI group, Discoverable Partitions Specification). */
const architectures: Record<string, string> = {
  "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "amd64",
  "44479540-f297-41b2-9af7-d131d5f0458a": "i386",
  "b921b045-1df0-41c3-af44-4c6f280d3fae": "arm64",
  "69dad710-2ce4-4e3c-b16c-21a1d49abed3": "armhf",
  "72ec70a6-cf74-40e6-bd49-4bda08e8f224": "riscv64",
  "60d5a7fe-8e7d-435c-b714-3dd8162144e1": "riscv32",
  "c31c45e6-3f39-412e-80fb-4809c4980599": "ppc64el",
  "5eead9a9-fe09-4a1e-a1d7-520d00531306": "s390x",
  "77055800-792c-4f94-b39a-98c91b762bb6": "loong64",
};

/** What is known of a disk. */
interface DiskTable {
  /** There is something for a BIOS to start. */
  startsByBios: boolean;
  /** Debian's name of it, if the disk says so. */
  architecture?: string;
}

/**
 * Reads the first sectors of a disk.
 *
 * @param beginning the first {@link tableBytes} of it.
 * @returns why it is refused, if it is.
 */
export function readDiskTable(beginning: Buffer, diskBytes: number): DiskTable | { refused: string } {
  if (diskBytes % sectorBytes !== 0)
    return { refused: `it is truncated: its ${diskBytes} bytes are no whole sectors of ${sectorBytes}` };
  if (beginning.length < sectorBytes || beginning.readUInt16LE(510) !== 0xaa55)
    return { refused: "it is no disk: its first sector has no partition table" };
  const sectors = diskBytes / sectorBytes;
  const ends = partitionEnds(beginning);
  const isGpt = beginning.toString("latin1", sectorBytes, sectorBytes + 8) === "EFI PART";
  if (!isGpt && ends.some((end) => end > sectors)) return truncated;
  const startsByBios = beginning.subarray(0, 440).some((byte) => byte !== 0);
  if (!isGpt || beginning.length < tableBytes) return { startsByBios };
  // The second copy of the table is the disk's last sector.
  if (beginning.readBigUInt64LE(sectorBytes + 32) >= BigInt(sectors)) return truncated;
  const types = gptTypes(beginning);
  const known = types.map((type) => architectures[type]).find((name) => name !== undefined);
  return { startsByBios, ...(known !== undefined && { architecture: known }) };
}

const truncated = { refused: "it is truncated: its partitions end behind its end" };

/** The sector after each of the four partitions of the first sector. */
function partitionEnds(sector: Buffer): number[] {
  return [446, 462, 478, 494].map((at) => sector.readUInt32LE(at + 8) + sector.readUInt32LE(at + 12));
}

/** Types of the partitions, as they are written. */
function gptTypes(beginning: Buffer): string[] {
  const first = 2 * sectorBytes;
  const types: string[] = [];
  for (let at = first; at + 128 <= beginning.length; at += 128) {
    const hex = (from: number, to: number) => beginning.toString("hex", at + from, at + to);
    const swapped = (from: number, to: number) =>
      Buffer.from(beginning.subarray(at + from, at + to))
        .reverse()
        .toString("hex");
    types.push([swapped(0, 4), swapped(4, 6), swapped(6, 8), hex(8, 10), hex(10, 16)].join("-"));
  }
  return types;
}
