import { lastError, libc } from "../libc.ts";

const [SEEK_DATA, SEEK_HOLE] = [3, 4];
const lseek = libc.func("int64_t lseek(int, int64_t, int)");

/** A part of a file that something was written to; from `start` to before `end`. */
interface Extent {
  start: number;
  end: number;
}

/**
 * Where a file has data, in order; the rest of it is zeros that take no room. All of it where the file system does not tell.
 *
 * @param bytes its size.
 */
export function* dataExtents(descriptor: number, bytes: number): Generator<Extent, void> {
  for (let at = 0; at < bytes;) {
    const start = Number(lseek(descriptor, at, SEEK_DATA));
    if (start < 0) {
      if (lastError() === "ENXIO") return; // nothing but a hole up to its end
      return yield { start: at, end: bytes };
    }
    const end = Number(lseek(descriptor, start, SEEK_HOLE));
    if (start < bytes) yield { start, end: Math.min(bytes, end < 0 ? bytes : end) };
    if (end < 0) return;
    at = end;
  }
}
