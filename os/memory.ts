import { readFileSync } from "node:fs";

/** Memory that programs may still get without the host swapping, in KiB; 0 if the kernel does not say. */
export function availableMemoryKiB(): number {
  const [, kiB] = /^MemAvailable: +(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8")) ?? [];
  return Number(kiB ?? 0);
}
