import { libc } from "./libc.ts";

/** From linux/timex.h: offset of `status` in `struct timex` on 64-bit systems, size of the whole, and the flag. */
const statusOffset = 40;
const timexBytes = 208;
const STA_UNSYNC = 0x0040;

/**
 * Whether something (timesyncd, chrony, ntpd; in a container, that of its host) keeps the kernel's clock: adjtimex(2),
 * which says so whoever it is.
 *
 * @returns undefined if the kernel does not tell.
 */
export function isClockSynchronized(): boolean | undefined {
  const adjtimex = libc.func("int adjtimex(void *)");
  const timex = Buffer.alloc(timexBytes); // modes 0: only look
  if (Number(adjtimex(timex)) < 0) return undefined;
  return (timex.readInt32LE(statusOffset) & STA_UNSYNC) === 0;
}
