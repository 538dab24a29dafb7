import { closeSync, constants, openSync, readFileSync } from "node:fs";
import type { Log } from "../../os/log.ts";
import type { Architecture } from "./architecture.ts";
import { hostArchitecture } from "./architecture.ts";

let warned = false;

/**
 * Chooses the accelerator. `auto` takes KVM only if `/dev/kvm` opens and the processor shows hardware
 * virtualization: a `/dev/kvm` that cannot run guests exists in the wild, and a guest then hangs silently.
 * Otherwise software emulation, with a warning once in the life of the process.
 */
export function chooseAccelerator(
  wanted: "auto" | "kvm" | "tcg",
  target: Architecture,
  log: Log,
): "kvm" | "tcg" {
  if (wanted !== "auto") return wanted;
  const obstacle = kvmObstacle(target);
  if (obstacle === undefined) return "kvm";
  if (!warned) log.warn({ reason: obstacle }, "no hardware virtualization: machines run in slow emulation");
  warned = true;
  return "tcg";
}

/** Why `auto` does not take KVM; undefined if it does. */
export function kvmObstacle(target: Architecture): string | undefined {
  if (target !== hostArchitecture()) return "the machine is of another architecture than this host";
  try {
    closeSync(openSync("/dev/kvm", constants.O_RDWR));
  } catch (error) {
    return `/dev/kvm does not open: ${(error as NodeJS.ErrnoException).code}`;
  }
  if (target === "aarch64") return undefined; // no flag shows it there; the kernel offers /dev/kvm only if it works
  if (/^flags\s*:.*\b(vmx|svm)\b/m.test(readFileSync("/proc/cpuinfo", "utf8"))) return undefined;
  return "the processor shows neither vmx nor svm in /proc/cpuinfo";
}
