/**
 * Which proxy a request goes through, as curl does it: `http_proxy` (in lower case only: as CGI variable, the upper case
 * one is the client's word), `https_proxy` and `all_proxy` in either, and `no_proxy`, a list of names, domains and
 * networks, or `*`.
 */
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { BlockList, isIP } from "node:net";

/** Environment variables. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The proxy's URL for a URL; undefined for none. */
export function proxyFor(url: string, environment: Environment = process.env): string | undefined {
  const { protocol, hostname } = new URL(url);
  const either = (name: string) => environment[name] ?? environment[name.toUpperCase()];
  const proxy =
    (protocol === "https:" ? either("https_proxy") : environment["http_proxy"]) ?? either("all_proxy");
  if (proxy === undefined || proxy === "" || goesDirectly(hostname, either("no_proxy") ?? ""))
    return undefined;
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
}

function goesDirectly(hostname: string, list: string): boolean {
  const host = hostname
    .replace(/^\[|\]$/g, "")
    .replace(/\.$/, "")
    .toLowerCase();
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => covers(entry.toLowerCase(), host));
}

function covers(entry: string, host: string): boolean {
  if (entry === "*") return true;
  const [, network, bits] = /^\[?([0-9a-f.:]+?)\]?(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
  if (network !== undefined && isIP(network) !== 0) return isIP(host) !== 0 && inNetwork(host, network, bits);
  const name = entry.replace(/^\.|\.$/g, "");
  return host === name || host.endsWith(`.${name}`);
}

function inNetwork(host: string, network: string, bits: string | undefined): boolean {
  const family = (address: string) => (isIP(address) === 6 ? "ipv6" : "ipv4");
  const whole = family(network) === "ipv6" ? 128 : 32;
  const length = bits === undefined ? whole : Number(bits);
  if (length > whole || family(host) !== family(network)) return false;
  const list = new BlockList();
  list.addSubnet(network, length, family(network));
  return list.check(host, family(host));
}

const agents = new Map<string, HttpAgent | HttpsAgent>();

/** What connects to a URL by its proxy; undefined where there is none. The same for all requests by that proxy. */
export function proxyAgentFor(url: string, environment?: Environment): HttpAgent | HttpsAgent | undefined {
  const proxy = proxyFor(url, environment);
  if (proxy === undefined) return undefined;
  const isSecure = url.startsWith("https:");
  const key = `${isSecure} ${proxy}`;
  let agent = agents.get(key);
  if (!agent) {
    const options = { keepAlive: true, proxyEnv: { [isSecure ? "https_proxy" : "http_proxy"]: proxy } };
    agent = isSecure ? new HttpsAgent(options) : new HttpAgent(options);
    agents.set(key, agent);
  }
  return agent;
}
