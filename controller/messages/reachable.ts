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
export function isLocalAddress(address: string): boolean {
  const plain = withinOf(address.replace(/%.*$/, ""));
  return local.check(plain, isIP(plain) === 6 ? "ipv6" : "ipv4");
}

/** The IPv4 address that gateways (RFC 6052) or old ways of writing take an IPv6 address for. */
function withinOf(address: string): string {
  const [, dotted, high, low] =
    /^(?:64:ff9b::|::)(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/i.exec(address) ?? [];
  if (dotted !== undefined) return dotted;
  if (high === undefined || low === undefined) return address;
  const [upper, lower] = [parseInt(high, 16), parseInt(low, 16)];
  return [upper >> 8, upper & 255, lower >> 8, lower & 255].join(".");
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
