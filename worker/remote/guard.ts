/**
 * What keeps a dead worker's builds from going on: a guard process, and a gate before each program.
 *
 * A worker that is killed by SIGKILL cannot end anything any more, and parent-death signals reach only its direct
 * children, not the compilers below make. So a small shell in a session of its own, with all signals ignored that can
 * be, reads a pipe whose other end only the worker has. Each process group is registered there before its program is
 * let through its gate (worker/remote/processes.ts). When the worker ends, however it does, the pipe ends, and the
 * guard kills the groups that are still registered. Invariant: a program runs only while its group's number is in
 * the pipe or has been read, so no moment is left in which it could be forgotten.
 *
 * What a build has put in a session of its own is in no registered group; it is found by a variable that everything
 * below the worker has in its environment.
 *
 * The guard inherits nothing else from the worker: Node.js marks the descriptors that it was started with itself
 * close-on-exec (so a lock that came with one of them ends with the worker, and neither guard nor builds keep it).
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { randomUUID } from "node:crypto";
import type { Writable } from "node:stream";
import { Failure, reasonOf } from "../../os/failure.ts";

/** `+GROUP` registers, `-GROUP` releases, `=DIRECTORY` is removed after the last group. */
const script = `
trap '' HUP INT QUIT TERM
groups=' '
directory=
while IFS= read -r line; do
  word=\${line#?}
  case $line in
    +*) groups="$groups$word " ;;
    -*) groups="\${groups%% $word *} \${groups#* $word }" ;;
    =*) directory=$word ;;
  esac
done
for group in $groups; do kill -KILL "-$group"; done
for pass in 1 2 3 4 5; do
  found=
  for file in $(grep -lsxz "$1" /proc/[0-9]*/environ); do
    process=\${file#/proc/}
    kill -KILL "\${process%/environ}" && found=yes
  done
  [ -n "$found" ] || break
done
[ -z "$directory" ] || rm -rf -- "$directory"
`;

/** A guard that lives shorter than this, in ms, so many times in a row, cannot be had on this host. */
const shortLife = 1000;
const mostShortLives = 5;

/** The guard of this process's children. */
export class Guard implements Disposable {
  /** What every guarded program must have in its environment. */
  readonly mark: Readonly<Record<string, string>> = { CROFT_WORKER: randomUUID() };
  readonly #groups = new Set<number>();
  #directory: string | undefined;
  #child: ChildProcessByStdio<Writable, null, null>;
  readonly #onLost: () => void;
  #shortLives = 0;
  #closed = false;

  /** @param onLost called when there is no guard any more, and none can be started. */
  constructor(onLost: () => void) {
    this.#onLost = onLost;
    this.#child = this.#start();
  }

  /** Registers a process group; resolves once the guard will see it, whatever happens to this process. */
  async add(group: number): Promise<void> {
    this.#groups.add(group);
    await this.#tell(`+${group}\n`);
  }

  /** Forgets a process group that has ended. */
  remove(group: number): void {
    if (!this.#groups.delete(group)) return;
    this.#tell(`-${group}\n`).catch(() => {}); // a guard that has just ended is told by the next one's start
  }

  /** Registers a directory that is to be removed when this process has ended. */
  async removeAtEnd(directory: string): Promise<void> {
    this.#directory = directory;
    await this.#tell(`=${directory}\n`);
  }

  /** Ends the guard, which kills the groups that are still registered. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#child.stdin.end();
    this.#child.unref();
  }

  /** Starts a guard, and another should that one be killed; it is told all that is to be guarded. */
  #start(): ChildProcessByStdio<Writable, null, null> {
    const start = performance.now();
    const child = spawn(
      "/bin/sh",
      ["-c", script, "croft-guard", `CROFT_WORKER=${this.mark["CROFT_WORKER"]}`],
      {
        detached: true,
        cwd: "/",
        stdio: ["pipe", "ignore", "ignore"], // an inherited standard output would keep the connection open
      },
    );
    child.stdin.on("error", () => {}); // told by the write's own callback
    child.once("error", () => this.#onLost());
    child.once("exit", () => {
      if (this.#closed) return;
      this.#shortLives = performance.now() - start < shortLife ? this.#shortLives + 1 : 0;
      if (this.#shortLives > mostShortLives) this.#onLost();
      else this.#child = this.#start();
    });
    for (const group of this.#groups) child.stdin.write(`+${group}\n`);
    if (this.#directory !== undefined) child.stdin.write(`=${this.#directory}\n`);
    return child;
  }

  #tell(line: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#child.stdin.write(line, (error) => {
        if (error)
          reject(new Failure("guard a process", `the guard has ended: ${reasonOf(error)}`, { cause: error }));
        else resolve();
      });
    });
  }
}
