/** What lock holders wrote down, and whether two of them ever had the same lock. */
import { readFileSync } from "node:fs";

/** A shell that does what lock-holder.ts does, with flock(1): `bash -c shellHolder name lock journal go [nth]`. */
export const shellHolder = `
name=$1 lock=$2 journal=$3 go=$4 nth=\${5:-0} count=0
exec 8>>"$journal"
while [ -e "$go" ]; do
  exec 9>>"$lock"
  flock -w 60 9 || exit 1
  # Somebody may have removed the file while this one waited: then the lock is on a file that nobody else sees.
  if [ "$lock" -ef /proc/self/fd/9 ]; then
    echo "enter $name $$" >&8
    sleep 0.00$((RANDOM % 4))
    echo "leave $name $$" >&8
    # Only its holder may remove it: after that, whoever comes next has a lock of his own.
    if [ $nth -gt 0 ] && [ $((++count % nth)) = 0 ]; then rm "$lock"; fi
  fi
  exec 9>&-
  sleep 0.00$((RANDOM % 8))
done`;

/** How often which lock was taken by whom (`machine 123`: times). */
export type Acquisitions = Map<string, number>;

/**
 * Reads a journal.
 *
 * @param killed processes that were killed: their last `enter` needs no `leave`, but they must not go on either.
 * @throws an Error naming line and holders if a lock had two of them.
 */
export function checkJournal(path: string, killed: ReadonlySet<number>): Acquisitions {
  const holders = new Map<string, number>();
  const gone = new Set<string>();
  const acquisitions: Acquisitions = new Map();
  const lines = readFileSync(path, "utf8").split("\n");
  lines.pop();
  for (const [index, line] of lines.entries()) {
    const [what, lock, pidText] = line.split(" ") as [string, string, string];
    const [pid, who] = [Number(pidText), `${lock} ${pidText}`];
    const violation = (reason: string) => new Error(`line ${index + 1}: '${line}': ${reason}`);
    if (gone.has(who)) throw violation("it goes on though another took its lock");
    const holder = holders.get(lock);
    if (what === "enter") {
      if (holder !== undefined && !killed.has(holder)) throw violation(`${holder} holds it`);
      if (holder !== undefined) gone.add(`${lock} ${holder}`);
      holders.set(lock, pid);
      acquisitions.set(who, (acquisitions.get(who) ?? 0) + 1);
    } else if (holder !== pid) throw violation(`${holder ?? "nobody"} holds it`);
    else holders.delete(lock);
  }
  return acquisitions;
}

/** How often a lock was taken, by one of these or by all. */
export function countOf(acquisitions: Acquisitions, lock: string, pids?: readonly number[]): number {
  let count = 0;
  for (const [who, times] of acquisitions) {
    const [name, pid] = who.split(" ");
    if (name === lock && (pids === undefined || pids.includes(Number(pid)))) count += times;
  }
  return count;
}
