/**
 * The system's ssh, so that the user's own configuration, agent and jump hosts apply.
 *
 * A host has one connection: that of connection.ts, which is the master; all others (git push, the copying of
 * files) go through its control socket, and end with it.
 */
import { quote } from "../../os/text/shell-word.ts";
import { join } from "node:path";
import type { Host } from "./hosts.ts";

/** What a connection to a host needs to know. */
export interface SshSettings {
  /** Directory for control sockets; a short path: a socket's is at most 107 bytes. */
  controlDirectory: string;
  connectTimeoutSeconds: number;
}

/** How often a silent connection is asked for a sign of life, and how often in vain before it is given up. */
const aliveSeconds = 15;
const aliveCount = 3;

/** Arguments of ssh up to and without the destination. */
export function sshArguments(host: Host, settings: SshSettings, role: "master" | "shared"): string[] {
  const option = (name: string, value: string | number) => ["-o", `${name}=${value}`];
  return [
    "ssh",
    "-T",
    ...option("BatchMode", "yes"),
    ...option("ConnectTimeout", settings.connectTimeoutSeconds),
    ...option("StrictHostKeyChecking", "accept-new"),
    ...option("ServerAliveInterval", aliveSeconds),
    ...option("ServerAliveCountMax", aliveCount),
    ...option("ControlPath", join(settings.controlDirectory, host.name)),
    ...option("ControlMaster", role === "master" ? "yes" : "no"),
    ...option("ControlPersist", "no"),
  ];
}

/** The argument vector that runs a command line of the remote shell on a host (or here). */
export function remoteCommand(
  host: Host,
  settings: SshSettings,
  role: "master" | "shared",
  command: string,
): string[] {
  if (host.destination === undefined) return ["sh", "-c", command];
  return [...sshArguments(host, settings, role), "--", host.destination, command];
}

/** A path for a POSIX shell, `~/` at its start meaning the home directory. */
export function quotePath(path: string): string {
  if (path === "~") return '"$HOME"';
  return path.startsWith("~/") ? `"$HOME"/${quote(path.slice(2))}` : quote(path);
}
