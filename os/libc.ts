/** The system's C library, for what Node.js does not offer. */
import koffi from "koffi";

export const libc = koffi.load("libc.so.6");

/** Name of the error that the call before this one failed with (`EBUSY`…), or its number as `errno N`. */
export function lastError(): string {
  const errno = koffi.errno(); // before any other call
  return Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
}
