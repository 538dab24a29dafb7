/**
 * What a qcow2 image says about itself (docs/interop/qcow2 in QEMU), read before any tool of QEMU sees the image: an image is a
 * stranger's work, and may name files of this host as its own content.
 */
import { formatBytes } from "../../os/text/size.ts";

const magic = 0x514649fb; // QFI\xfb
/** As much of an image as the header with all its extensions may take: they lie in the first cluster. */
export const headerMaxBytes = 2 * 1024 * 1024;

/** Of version 2, and the least of version 3. */
const headerBytes = { 2: 72, 3: 104 } as const;

/** Bits of the incompatible features; what is not named here is of a later QEMU. */
const features = { dirty: 1n, corrupt: 2n, dataFile: 4n, compressionType: 8n, extendedL2: 16n };
const usableFeatures = features.dirty | features.compressionType | features.extendedL2;

const extensions = { end: 0, dataFile: 0x44415441, encryption: 0x0537be77 };

/** An image that is imported, as far as it is of interest. */
interface Qcow2Header {
  /** Size of the disk in it. */
  virtualBytes: number;
}

/** Whether a file begins like a qcow2 image. */
export function isQcow2(beginning: Buffer): boolean {
  return beginning.length >= 4 && beginning.readUInt32BE(0) === magic;
}

/**
 * Reads the header of an image.
 *
 * @param beginning the first {@link headerMaxBytes} of it, or all of it.
 * @param fileBytes size of the file.
 * @param maxBytes how large its disk may be.
 * @returns why the image is refused, if it is.
 */
export function readQcow2Header(
  beginning: Buffer,
  fileBytes: number,
  maxBytes: number,
): Qcow2Header | { refused: string } {
  if (!isQcow2(beginning)) return { refused: "it is no qcow2 image" };
  if (beginning.length < headerBytes[2]) return truncated;
  const version = beginning.readUInt32BE(4);
  if (version !== 2 && version !== 3)
    return { refused: `it is of version ${version} of qcow2, 2 or 3 expected` };
  if (beginning.length < headerBytes[version]) return truncated;
  const refused =
    wrongContent(beginning) ??
    (version === 3 ? wrongFeatures(beginning.readBigUInt64BE(72)) : undefined) ??
    wrongSize(beginning, maxBytes) ??
    wrongExtensions(beginning, version) ??
    wrongTables(beginning, fileBytes);
  return refused === undefined ? { virtualBytes: Number(beginning.readBigUInt64BE(24)) } : { refused };
}

const truncated = { refused: "it is truncated: it ends within its header" };

/** What it is based on, and whether it is encrypted. */
function wrongContent(header: Buffer): string | undefined {
  // The name may be a path, or anything that QEMU opens: a URL, a device, "json:" with options.
  if (header.readBigUInt64BE(8) !== 0n || header.readUInt32BE(16) !== 0)
    return "it has a backing file: it is only a part of an image";
  if (header.readUInt32BE(32) !== 0) return "it is encrypted";
  return undefined;
}

function wrongFeatures(incompatible: bigint): string | undefined {
  if (incompatible & features.dataFile) return "its content is in an external data file";
  if (incompatible & features.corrupt) return "it is marked as corrupt";
  const unknown = incompatible & ~usableFeatures;
  return unknown === 0n
    ? undefined
    : `it has features that are not known here (bits 0x${unknown.toString(16)})`;
}

function wrongSize(header: Buffer, maxBytes: number): string | undefined {
  const clusterBits = header.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21)
    return `it has clusters of 2^${clusterBits} bytes, 2^9 to 2^21 expected`;
  const size = header.readBigUInt64BE(24);
  if (size === 0n) return "its disk is empty";
  if (size > BigInt(maxBytes))
    return `its disk has ${formatBytes(Number(size))}, more than ${formatBytes(maxBytes)} (--max-size)`;
  return undefined;
}

function wrongExtensions(header: Buffer, version: 2 | 3): string | undefined {
  const cluster = Math.min(2 ** header.readUInt32BE(20), header.length);
  const start = version === 2 ? headerBytes[2] : header.readUInt32BE(100);
  if (start < headerBytes[version] || start % 8 !== 0 || start > cluster)
    return `it has a header of ${start} bytes, which cannot be`;
  for (let at = start; at + 8 <= cluster;) {
    const [type, length] = [header.readUInt32BE(at), header.readUInt32BE(at + 4)];
    if (type === extensions.end) return undefined;
    if (type === extensions.dataFile) return "its content is in an external data file";
    if (type === extensions.encryption) return "it is encrypted";
    at += 8 + Math.ceil(length / 8) * 8;
    if (at > cluster) return "its header has an extension that ends outside of it";
  }
  return undefined;
}

/** The tables that all else is found by; what those lead to is looked at by `qemu-img check`. */
function wrongTables(header: Buffer, fileBytes: number): string | undefined {
  const clusterBits = header.readUInt32BE(20);
  const tables = [
    { at: header.readBigUInt64BE(40), bytes: BigInt(header.readUInt32BE(36)) * 8n },
    { at: header.readBigUInt64BE(48), bytes: BigInt(header.readUInt32BE(56)) << BigInt(clusterBits) },
  ];
  return tables.some(({ at, bytes }) => at + bytes > BigInt(fileBytes))
    ? "it is truncated: its tables lie behind its end"
    : undefined;
}
