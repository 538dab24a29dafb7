import { networkInterfaces } from "node:os";
import { Failure } from "../../os/failure.ts";
import type { Settings } from "./settings.ts";

/** VNC displays begin at this port (RFC 6143, 6). */
const vncPort = 5900;

/**
 * Where a person finds the screen of an interactive task: the host's first address that is not its own loopback, and
 * the VNC port of this instance; undefined if no interactive tasks are accepted.
 *
 * @throws {Failure} if one is needed, and the host has no IPv4 address but its loopback.
 */
export function interactiveLogin(
  { interactive, offset }: Pick<Settings, "interactive" | "offset">,
  interfaces = networkInterfaces(),
): string | undefined {
  if (interactive === "false") return undefined;
  const addresses = Object.values(interfaces).flatMap((found) => found ?? []);
  const address = addresses.find(({ family, internal }) => family === "IPv4" && !internal)?.address;
  if (address === undefined)
    throw new Failure("offer interactive builds", "this host has no IPv4 address but its loopback", {
      hints: ["Bring a network interface up, or start the agent with --interactive false."],
    });
  return `${address}:${vncPort + offset}`;
}
