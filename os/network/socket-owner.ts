/** Whose socket a datagram or a connection of this host came from, as the kernel tells it in /proc. */
import { readdir, readFile, readlink } from "node:fs/promises";
import { endianness } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { isSystemError } from "../failure.ts";

/** After a look a pause of so many times what it took: a flood of questions costs at most a fifth of a processor. */
const pauseFactor = 4;
/** The longest such pause: on a host with thousands of sockets a look takes long enough by itself. */
const pauseMaxMs = 1000;

/** Waits before the next look, after one that began then (by `performance.now()`). */
export async function pauseAfterLook(startMs: number): Promise<void> {
  const pauseMs = Math.min(pauseMaxMs, pauseFactor * (performance.now() - startMs));
  await delay(pauseMs, undefined, { ref: false });
}

/** An IPv4 address and port that something comes from. */
export interface SocketAddress {
  address: string;
  port: number;
}

/** A socket of this host that may send from a source. */
export interface HostSocket {
  inode: string;
  uid: number;
}

/**
 * The sockets that may send from each source: those bound to its port at its address or at all addresses; several
 * only if they share the port.
 *
 * @param table the text of /proc/net/udp or tcp, whose addresses are numbers in the host's byte order.
 */
export function findSockets(table: string, sources: readonly SocketAddress[]): HostSocket[][] {
  const ports = new Set(sources.map(({ port }) => hexPort(port)));
  const found = new Map<string, HostSocket[]>();
  for (const line of table.split("\n")) {
    const start = line.indexOf(": ") + 2;
    if (!ports.has(line.slice(start + 9, start + 13))) continue;
    const [local = "", , , , , , uid, , inode = ""] = line.slice(start).split(/ +/);
    if (!/^[0-9A-F]{8}:[0-9A-F]{4}$/.test(local) || !/^[1-9]\d*$/.test(inode)) continue;
    const sockets = found.get(local) ?? [];
    found.set(local, [...sockets, { inode, uid: Number(uid) }]);
  }
  return sources.map(({ address, port }) =>
    [address, "0.0.0.0"].flatMap((bound) => found.get(`${hexAddress(bound)}:${hexPort(port)}`) ?? []),
  );
}

function hexPort(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, "0");
}

function hexAddress(address: string): string {
  const octets = address.split(".").map((octet) => Number(octet).toString(16).toUpperCase().padStart(2, "0"));
  return (endianness() === "LE" ? octets.reverse() : octets).join("");
}

/**
 * Looks for the sockets of each source in a table of this host.
 *
 * One of more than a page is read in pieces, and the kernel finds the next piece by counting: while sockets close
 * meanwhile, it passes over others. So what is not there is looked for once more.
 */
export async function lookForSockets(
  readTable: () => Promise<string>,
  sources: readonly SocketAddress[],
): Promise<HostSocket[][]> {
  const found = findSockets(await readTable(), sources);
  if (found.every((sockets) => sockets.length > 0)) return found;
  const again = findSockets(await readTable(), sources);
  return found.map((sockets, i) => (sockets.length > 0 ? sockets : again[i]!));
}

/** Reads the table of this host's IPv4 UDP sockets. */
export function readUdpTable(): Promise<string> {
  return readFile("/proc/self/net/udp", "latin1");
}

/** Reads the table of this host's TCP sockets that speak IPv4; those of the other kind may do so, too. */
export async function readTcpTable(): Promise<string> {
  const tables = await Promise.all(["tcp", "tcp6"].map(readTable));
  const mapped = endianness() === "LE" ? "0000000000000000FFFF0000" : "00000000000000000000FFFF";
  return tables.join("\n").replaceAll(mapped, "");
}

/** A host without IPv6 has no such table. */
async function readTable(name: string): Promise<string> {
  try {
    return await readFile(`/proc/self/net/${name}`, "latin1");
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return "";
    throw error;
  }
}

/**
 * The inodes of a process's sockets.
 *
 * @throws the system's error if it is gone, or not ours to look into.
 */
export async function socketsOf(pid: number): Promise<Set<string>> {
  const directory = `/proc/${pid}/fd`;
  const links = await Promise.all((await readdir(directory)).map((fd) => readLink(`${directory}/${fd}`)));
  return new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
}

/** Where it leads; nowhere if the descriptor has been closed since it was listed. */
async function readLink(path: string): Promise<string> {
  try {
    return await readlink(path);
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return "";
    throw error;
  }
}
