import { libc } from "../../os/libc.ts";

const PR_SET_PDEATHSIG = 1;
const SIGTERM = 15;

/**
 * Ends this process (by SIGTERM, so that it cleans up) when npm, which started it, ends in any way: npm may be killed,
 * and passes signals on only while it lives.
 */
export function endWithNpm(): void {
  if (process.env["npm_lifecycle_event"] === undefined) return;
  const parent = process.ppid;
  const prctl = libc.func("int prctl(int option, ulong value)");
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (process.ppid !== parent) process.kill(process.pid, "SIGTERM"); // it ended just before
}
