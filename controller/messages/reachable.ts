/**
 * Which addresses a message may go to. A name may lead anywhere, and elsewhere the next time: what it leads to is looked at when the
 * connection is made, and the connection is made to that.
 */
import { lookup, type LookupAddress } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";

/** This host itself, and what answers on its own network only, such as the metadata of cloud machines. */
const local = new BlockList();
for (const [network, prefix, family] of [
  ["0.0.0.0", 8, "ipv4"],
  ["127.0.0.0", 8, "ipv4"],
  ["169.254.0.0", 16, "ipv4"],
  ["224.0.0.0", 3, "ipv4"], // groups, and all
  ["::", 128, "ipv6"],
  ["::1", 128, "ipv6"],
  ["fe80::", 10, "ipv6"],
  ["ff00::", 8, "ipv6"],
] as const)
  local.addSubnet(network, prefix, family);

/** Whether an address is of this host, or reached on its own network only; IPv4 within IPv6 counts as what it stands for. */
function isLocalAddress(address: string): boolean {
  const plain = address.replace(/%.*$/, "");
  const within = /^(?:64:ff9b::|::)(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1] ?? plain;
  return local.check(within, isIP(within) === 6 ? "ipv6" : "ipv4");
}

/** Why no request is made. */
export class UnreachableError extends Error {}

/** @throws {UnreachableError} if a URL names such an address itself; then nothing is looked up. */
export function checkHost({ hostname }: URL): void {
  const host = hostname.replace(/^\[|\]$/g, "");
  if (isIP(host) !== 0 && isLocalAddress(host)) throw refused(host);
}

/** As `dns.lookup`, for connections: fails if the name leads to such an address. */
export const lookupReachable: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
    if (error) return callback(error, "");
    const bad = found.find(({ address }) => isLocalAddress(address));
    if (bad) return callback(refused(bad.address), "");
    const [first] = found;
    return options.all ? callback(null, found) : callback(null, first!.address, first!.family);
  });
};

function refused(address: string): UnreachableError {
  return new UnreachableError(
    `the address ${address} is of this host or its own network (local: true allows it)`,
  );
}
