/**
 * The user that QEMU runs as. A guest that breaks out of QEMU has what QEMU may: so it is nobody's, if the agent is root,
 * and another one for each instance. It needs no entry in the user database, and owns nothing: what it works with, it gets
 * open (inherited-files.ts).
 */
import { statSync } from "node:fs";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { Log } from "../../os/log.ts";
import { isUserHere, lackingCapabilities } from "../../os/privileges.ts";
import type { MachineUser } from "../virtual-machine.ts";
import { kvmObstacle } from "./acceleration.ts";
import { hostArchitecture } from "./architecture.ts";

/** Sets the user, signals its processes (the kernel does so, too, when the parent dies), and gives it a directory. */
const needed = ["SETUID", "SETGID", "KILL", "CHOWN"] as const;

let warned = false;

/**
 * The user of an instance's machines; undefined for the agent's own: if that is not root, if it is wanted (0), or, with
 * a warning once in the life of the process, if it cannot be helped: a farm goes on as it did before.
 *
 * @param number of the user
 */
export function machineUser(number: number, accel: string, log: Log): MachineUser | undefined {
  const found = lookForUser(number, accel);
  if ("user" in found) return found.user;
  if (!warned) log.warn({ reason: found.obstacle }, "machines run with the rights of root");
  warned = true;
  return undefined;
}

/** The user, or why QEMU runs as root. */
export function lookForUser(
  number: number,
  accel: string,
): { user: MachineUser | undefined } | { obstacle: string } {
  if (process.geteuid?.() !== 0 || number === 0) return { user: undefined };
  const lacking = lackingCapabilities(needed);
  if (lacking.length > 0)
    return { obstacle: `this process lacks ${lacking.map((name) => `CAP_${name}`).join(", ")}` };
  if (!isUserHere(number)) return { obstacle: `there is no user ${number} in this container` };
  const usesKvm = accel === "kvm" || (accel === "auto" && kvmObstacle(hostArchitecture()) === undefined);
  if (!usesKvm) return { user: { id: number } };
  const kvm = groupOfKvm();
  return "obstacle" in kvm ? kvm : { user: { id: number, ...withoutUndefined(kvm) } };
}

/** The group by which other users may open /dev/kvm; none if all may, or if it is not there: then QEMU says so. */
export function groupOfKvm(path = "/dev/kvm"): { group: number | undefined } | { obstacle: string } {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || (found.mode & 0o006) === 0o006) return { group: undefined };
  if ((found.mode & 0o060) === 0o060 && found.gid !== 0) return { group: found.gid };
  return { obstacle: `only root may open ${path}` };
}

/**
 * What begins QEMU's command line. The kernel kills it when its parent dies: an orphan with the machine's MAC address would
 * meet its successor. It forgets that at a change of user, so QEMU must not change it by itself (`-runas`).
 */
export function launcher(user: MachineUser | undefined): string[] {
  const become = user
    ? [
        ...[`--reuid=${user.id}`, `--regid=${user.id}`, "--no-new-privs"],
        user.group === undefined ? "--clear-groups" : `--groups=${user.group}`,
      ]
    : [];
  return ["setpriv", ...become, "--pdeathsig", "KILL", "--"];
}
