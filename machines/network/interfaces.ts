/** What `ip` tells about the host's network interfaces; its JSON output is described by ip(8). */
import { isIPv4 } from "node:net";
import { run } from "../../os/run.ts";

/** A network interface. */
export interface Interface {
  name: string;
  /** `bridge`, `tun`…; undefined for a physical one. */
  kind: string | undefined;
  mac: string;
  /** Set up by the administrator; it may still have no carrier. */
  isUp: boolean;
  /** For a tap interface: a process has it open. */
  hasCarrier: boolean;
  /** Free text that whoever made the interface left with it. */
  alias: string | undefined;
  ipv4: Ipv4Address[];
}

/** An address of the host, and the network it is in. */
export interface Ipv4Address {
  address: string;
  prefixLength: number;
}

interface IpLink {
  ifname?: string;
  ifalias?: string;
  address?: string;
  flags?: string[];
  linkinfo?: { info_kind?: string };
  addr_info?: { family?: string; local?: string; prefixlen?: number }[];
}

const timeoutSeconds = 20;

/** Looks at one interface; undefined if there is none of the name. */
export async function readInterface(name: string, signal?: AbortSignal): Promise<Interface | undefined> {
  const argv = ["ip", "-json", "-details", "address", "show", "dev", name];
  const { status, stdout } = await ip(argv, signal, [1]);
  return status === 0 ? parseInterfaces(stdout)[0] : undefined;
}

/** The interfaces that are attached to a bridge. */
export async function readPorts(bridge: string, signal?: AbortSignal): Promise<Interface[]> {
  const { stdout } = await ip(["ip", "-json", "-details", "link", "show", "master", bridge], signal);
  return parseInterfaces(stdout);
}

/** The routers that the host reaches through an interface. */
export async function readGateways(name: string, signal?: AbortSignal): Promise<string[]> {
  const { stdout } = await ip(["ip", "-json", "-4", "route", "show", "dev", name], signal);
  const routes = (stdout.trim() === "" ? [] : JSON.parse(stdout)) as { gateway?: string }[];
  return [...new Set(routes.flatMap(({ gateway }) => (gateway && isIPv4(gateway) ? [gateway] : [])))];
}

/** Makes changes to interfaces, one after another, up to the first that is refused (ip(8), `-batch`). */
export async function changeInterfaces(commands: readonly string[], signal?: AbortSignal): Promise<void> {
  await ip(["ip", "-batch", "-"], signal, [], `${commands.join("\n")}\n`);
}

/** Understands the output of `ip -json -details address|link show`. */
function parseInterfaces(json: string): Interface[] {
  const links = (json.trim() === "" ? [] : JSON.parse(json)) as IpLink[];
  return links
    .filter(({ ifname }) => ifname !== undefined) // older versions print an empty object for what they leave out
    .map((link) => ({
      name: link.ifname!,
      kind: link.linkinfo?.info_kind,
      mac: link.address ?? "",
      isUp: link.flags?.includes("UP") === true,
      hasCarrier: link.flags?.includes("LOWER_UP") === true,
      alias: link.ifalias,
      ipv4: (link.addr_info ?? []).flatMap(({ family, local, prefixlen }) =>
        family === "inet" && local !== undefined && prefixlen !== undefined
          ? [{ address: local, prefixLength: prefixlen }]
          : [],
      ),
    }));
}

function ip(argv: string[], signal?: AbortSignal, accept: number[] = [], input = "") {
  return run(argv, { timeoutSeconds, accept, input, ...(signal && { signal }) });
}

/** The networks of addresses, as `address/length`, without those that lie in another. */
export function networksOf(addresses: readonly Ipv4Address[]): string[] {
  const networks = addresses.map(({ address, prefixLength }) => {
    const size = 2 ** (32 - prefixLength);
    return { first: Math.floor(toNumber(address) / size) * size, size, prefixLength };
  });
  networks.sort((one, other) => other.size - one.size);
  const kept: typeof networks = [];
  for (const network of networks)
    if (!kept.some(({ first, size }) => network.first >= first && network.first < first + size))
      kept.push(network);
  return kept.map(({ first, prefixLength }) => `${toText(first)}/${prefixLength}`);
}

function toNumber(address: string): number {
  return address.split(".").reduce((number, octet) => number * 256 + Number(octet), 0);
}

function toText(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}
