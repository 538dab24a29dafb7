/** Parses `ADDRESS:PORT`, an IPv6 address in brackets; port 0 is any free one. Undefined if it is none. */
export function parseListenAddress(text: string): { address: string; port: number } | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = bracketed ?? plain;
  const port = Number(digits);
  return address !== undefined && port <= 65_535 ? { address, port } : undefined;
}

/** What is wrong with an option's value that should be an address to listen on, or undefined. */
export function checkListenAddress(text: string): string | undefined {
  return parseListenAddress(text)
    ? undefined
    : "expected ADDRESS:PORT, for instance 127.0.0.1:9400 or [::1]:9400";
}

/** What {@link parseListenAddress} reads, as it also stands in a URL: an IPv6 address in brackets. */
export function formatListenAddress(address: string, port: number): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

/** Whether nobody on its way reads what is sent to a URL: it is encrypted, or stays within the host. */
export function isUnreadOnItsWay(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === "https:" || isLoopback(hostname.replace(/^\[|\]$/g, ""));
}

/** Whether only programs of this host reach what listens there. */
export function isLoopback(host: string): boolean {
  return /^(127\.|localhost$|::1$)/.test(host);
}
