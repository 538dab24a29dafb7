import { closeSync, constants, openSync } from "node:fs";
import { Failure, reasonOf } from "../../os/failure.ts";
import { lastError } from "../../os/libc.ts";
import { interfaceRequest, ioctl, valueAt } from "../../os/network/ioctl.ts";

/** Of the kernel's interface (linux/if_tun.h): frames as they are, with a header for what the guest leaves to the host. */
const TUNSETIFF = 0x400454ca;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;

/**
 * Attaches to a tap interface that is there.
 *
 * @returns a descriptor for its frames; close-on-exec.
 * @throws {Failure} if it belongs to another user, is in use, or there is none.
 */
export function openTap(name: string): number {
  const opened = attach(name);
  if ("fd" in opened) return opened.fd;
  const reason = opened.error === "EBUSY" ? "it is in use" : `error ${opened.error} of the kernel`;
  throw new Failure(`open network interface '${name}'`, reason);
}

/** Whether somebody has a tap interface open, which one that is down does not show. */
export function isTapHeld(name: string): boolean {
  const opened = attach(name);
  if ("fd" in opened) closeSync(opened.fd);
  return "error" in opened && opened.error === "EBUSY";
}

/** @throws {Failure} if this process may open none. */
function attach(name: string): { fd: number } | { error: string } {
  let fd: number;
  try {
    fd = openSync("/dev/net/tun", constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    const reason = `/dev/net/tun: ${reasonOf(error)}`;
    throw new Failure(`open network interface '${name}'`, reason, { cause: error });
  }
  const request = interfaceRequest(name);
  request.writeUInt16LE(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, valueAt);
  if (ioctl(fd, TUNSETIFF, request) === 0) return { fd };
  const error = lastError();
  closeSync(fd);
  return { error };
}
