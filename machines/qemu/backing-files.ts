/** What a qcow2 disk says that it is based on (docs/interop/qcow2 in QEMU). */
import { closeSync, openSync, readSync } from "node:fs";

const magic = 0x514649fb; // QFI\xfb
const formatExtension = 0xe2792aca;
const headerBytes = 64 * 1024; // the header and what follows it fit the first cluster
const nameMaxBytes = 1023;

export interface BackingFile {
  /** As it stands there: a path, relative to the disk, or something else that QEMU knows. */
  name: string;
  format: string | undefined;
}

/**
 * Reads the header of a disk.
 *
 * @returns undefined if it is based on nothing, or is no qcow2 disk.
 * @throws a system error if it cannot be read.
 */
export function backingFileOf(disk: string): BackingFile | undefined {
  const fd = openSync(disk, "r");
  try {
    const buffer = Buffer.alloc(headerBytes);
    return parse(buffer.subarray(0, readSync(fd, buffer, 0, headerBytes, 0)));
  } finally {
    closeSync(fd);
  }
}

function parse(header: Buffer): BackingFile | undefined {
  if (header.length < 72 || header.readUInt32BE(0) !== magic) return undefined;
  const offset = Number(header.readBigUInt64BE(8));
  const length = header.readUInt32BE(16);
  if (offset === 0 || length > nameMaxBytes || offset + length > header.length) return undefined;
  const start = header.readUInt32BE(4) === 2 ? 72 : header.readUInt32BE(100); // version 2 has no length
  return { name: header.toString("utf8", offset, offset + length), format: formatIn(header, start) };
}

function formatIn(header: Buffer, start: number): string | undefined {
  for (let at = start; at + 8 <= header.length;) {
    const [type, length] = [header.readUInt32BE(at), header.readUInt32BE(at + 4)];
    if (type === 0) return undefined;
    if (type === formatExtension) return header.toString("utf8", at + 8, at + 8 + length);
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return undefined;
}
