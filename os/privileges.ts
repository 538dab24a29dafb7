/** What the kernel lets this process do, as it tells it in /proc; and who is who on this host. */
import { readFileSync } from "node:fs";
import { run } from "./run.ts";
import { withoutUndefined } from "./without-undefined.ts";

/** Numbers of capabilities (linux/capability.h). */
const capabilities = { CHOWN: 0, KILL: 5, SETGID: 6, SETUID: 7 };

export type Capability = keyof typeof capabilities;

/** Those of the capabilities that this process does not have. */
export function lackingCapabilities(wanted: readonly Capability[]): Capability[] {
  const [, effective = "0"] =
    /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  const has = BigInt(`0x${effective}`);
  return wanted.filter((name) => ((has >> BigInt(capabilities[name])) & 1n) === 0n);
}

/** Whether a number is that of a user and of a group here: a container may have few of them. */
export function isUserHere(id: number): boolean {
  return ["uid_map", "gid_map"].every((map) => isMapped(readFileSync(`/proc/self/${map}`, "utf8"), id));
}

/** @param map lines of: first number inside, first outside, how many (user_namespaces(7)). */
function isMapped(map: string, id: number): boolean {
  return map
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .some(([first = 0, , count = 0]) => id >= first && id < first + count);
}

/** Name of the user with a number; undefined if it is nobody's. */
export async function userOf(id: number, signal?: AbortSignal): Promise<string | undefined> {
  const limits = { timeoutSeconds: 10, accept: [2], ...withoutUndefined({ signal }) };
  const { stdout } = await run(["getent", "passwd", String(id)], limits); // in whatever knows users here
  return /^([^:]+):/.exec(stdout)?.[1];
}
