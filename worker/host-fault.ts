/** How a build shows that its host failed and not its source: the compiler was killed, a program is not installed. */
import { isDiskFull } from "./disk-full.ts";
import { returnCodes, type BuildResult } from "./protocol.ts";

const shellMessage = /(?:^|\/)(?:\w*sh|[\w.+-]+): (?:line )?(?:\d+: )?([\w.+-]+): (?:command )?not found$/;

const patterns: readonly RegExp[] = [
  // What takes a killed compiler for one that has failed: gcc, collect2, make, cargo.
  /\bKilled signal terminated program\b|\binternal compiler error: Killed\b|\bterminated with signal 9\b/,
  /^make(?:\[\d+\])?: \*\*\* .*\] Killed$|\(signal: 9, SIGKILL\b/,
  /\bvirtual memory exhausted\b|\bout of memory allocating \d|: Cannot allocate memory$/,
  // A program without a path; one with a path may be the source's own.
  shellMessage,
  /^make(?:\[\d+\])?: [\w.+-]+: No such file or directory$/,
  /^(?:\/usr\/bin\/)?env: ['‘]?[\w.+-]+['’]?: No such file or directory$/,
  /: (?:Input\/output error|Read-only file system|Stale file handle)$/,
  /\b(?:fork|vfork|posix_spawn)\b.*: Resource temporarily unavailable$/,
];

/** The line that tells of a fault of the host; undefined if there is none. */
export function hostFaultIn(stderr: string): string | undefined {
  const lines = stderr.split("\n").map((line) => line.trim());
  return lines.find((line) => patterns.some((pattern) => pattern.test(line)));
}

/** Why a build says more about its host than about its target; undefined if it does not. */
export function hostFaultOf(result: Pick<BuildResult, "return_code" | "stderr">): string | undefined {
  if (result.return_code === returnCodes.built) return undefined;
  if (result.return_code === returnCodes.noToolchain) return result.stderr.trim() || "it has no toolchain";
  if (isDiskFull(result.stderr)) return "its disk is full";
  return hostFaultIn(result.stderr);
}
