/** What the kernel tells of network interfaces, and does with them, by ioctl(2). */
import { closeSync } from "node:fs";
import { libc } from "../libc.ts";

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
/** linux/sockios.h */
const [SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFINDEX] = [0x8913, 0x8915, 0x8933];
const IFF_UP = 1;
/** struct ifreq: a name, and what is asked or told behind it (linux/if.h). */
const requestBytes = 40;
const nameBytes = 16;

export const ioctl = libc.func("int ioctl(int, unsigned long, void *)");

const socket = libc.func("int socket(int, int, int)");

/** A request about an interface; what is asked or told is written at {@link valueAt}. */
export function interfaceRequest(name: string): Buffer {
  const request = Buffer.alloc(requestBytes);
  request.write(name.slice(0, nameBytes - 1));
  return request;
}

export const valueAt = nameBytes;

/**
 * Number of an interface, whether it is up, and its first address, as a text to compare: of a few microseconds, where a
 * program costs milliseconds.
 *
 * @returns undefined if it has none, or the kernel does not tell.
 */
export function interfaceState(name: string): string | undefined {
  const fd = Number(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd < 0) return undefined;
  try {
    const ask = (what: number) => {
      const request = interfaceRequest(name);
      return Number(ioctl(fd, what, request)) === 0 ? request.subarray(valueAt) : undefined;
    };
    const [index, flags, address] = [ask(SIOCGIFINDEX), ask(SIOCGIFFLAGS), ask(SIOCGIFADDR)];
    if (!index || !flags || !address) return undefined;
    return [index.readInt32LE(), flags.readUInt16LE() & IFF_UP, ...address.subarray(4, 8)].join(" ");
  } finally {
    closeSync(fd);
  }
}
