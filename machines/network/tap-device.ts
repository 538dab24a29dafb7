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
  const action = `open network interface '${name}'`;
  let fd: number;
  try {
    fd = openSync("/dev/net/tun", constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    throw new Failure(action, `/dev/net/tun: ${reasonOf(error)}`, { cause: error });
  }
  const request = interfaceRequest(name);
  request.writeUInt16LE(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, valueAt);
  if (ioctl(fd, TUNSETIFF, request) === 0) return fd;
  const error = lastError();
  closeSync(fd);
  throw new Failure(action, error === "EBUSY" ? "it is in use" : `error ${error} of the kernel`);
}
