/**
 * Who may ask a TFTP server.
 *
 * The user network shows a guest the loopback of its host, and with it the servers of other instances; other users
 * of the host see them anyway. There only the own machine's process may ask: decisions/requests-from-own-vm.md.
 */
import { isSystemError, reasonOf } from "../../os/failure.ts";
import type { Log } from "../../os/log.ts";
import {
  lookForSockets,
  pauseAfterLook,
  readUdpTable,
  socketsOf,
  type HostSocket,
} from "../../os/network/socket-owner.ts";
import type { Peer } from "./socket.ts";

/** Whose requests count. */
export interface OwnMachine {
  pid: number;
  /** The user that nobody but the process is; undefined if there is none: then its descriptors tell. */
  user: number | undefined;
}

/** `foreign`: it is another's; `unknown`: nobody can tell, which is no reason to trust it. */
export type Verdict = "own" | "foreign" | "unknown";

export interface Requesters {
  /** Judges the sender of a request that has just come; never fails. */
  judge(peer: Peer): Promise<Verdict>;
}

/** For a server that is guarded otherwise, or whose clients are of no consequence. */
export const anyone: Requesters = { judge: () => Promise.resolve("own") };

/** Who sends from an address of a guest; that guests do not send from each other's is the packet filter's matter. */
export function addressesWhere(isGuest: (address: string) => boolean): Requesters {
  return { judge: ({ address }) => Promise.resolve(isGuest(address) ? "own" : "foreign") };
}

/** Requests that wait for their verdict; more are dropped, as the kernel drops what a full socket cannot take. */
const waitingMaximum = 4096;

interface Waiting {
  peer: Peer;
  decide: (verdict: Verdict) => void;
}

/**
 * Only the process of a virtual machine.
 *
 * One look serves all requests that have come before it, however many. Requests that come before the process is
 * known wait for it.
 */
export class OwnProcess implements Requesters, Disposable {
  readonly #log: Log;
  readonly #known = Promise.withResolvers<OwnMachine | undefined>();
  #waiting: Waiting[] = [];
  #isLooking = false;
  #isOver = false;
  #hasComplained = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Tells the process; not one that has ended and been waited for: its number may become another's. */
  is({ pid, user }: OwnMachine): void {
    this.#known.resolve({ pid, user });
  }

  judge(peer: Peer): Promise<Verdict> {
    if (this.#isOver || this.#waiting.length >= waitingMaximum) return Promise.resolve("unknown");
    const { promise, resolve } = Promise.withResolvers<Verdict>();
    this.#waiting.push({ peer, decide: resolve });
    if (!this.#isLooking) void this.#lookWhileAsked();
    return promise;
  }

  async #lookWhileAsked(): Promise<void> {
    this.#isLooking = true;
    const own = await this.#known.promise;
    while (this.#waiting.length > 0 && own !== undefined) {
      const startMs = performance.now();
      const asked = this.#waiting.splice(0);
      const verdicts = await this.#look(own, asked);
      for (const [i, { decide }] of asked.entries()) decide(this.#isOver ? "unknown" : verdicts[i]!);
      await pauseAfterLook(startMs);
    }
    this.#isLooking = false;
  }

  async #look({ pid, user }: OwnMachine, asked: readonly Waiting[]): Promise<Verdict[]> {
    try {
      const sources = await lookForSockets(
        readUdpTable,
        asked.map(({ peer }) => peer),
      );
      if (sources.every((sockets) => sockets.length === 0)) return sources.map(() => "unknown");
      const inodes = await inodesOf(pid, user);
      return sources.map((sockets) =>
        verdictOn(
          sockets,
          ({ uid, inode }) => (user === undefined || uid === user) && (inodes?.has(inode) ?? true),
        ),
      );
    } catch (error) {
      // Its end says more than this, if it has ended.
      if (!this.#isOver && !this.#hasComplained)
        this.#log.warn({ pid, reason: reasonOf(error) }, "cannot tell whose TFTP requests come in");
      this.#hasComplained = true;
      return asked.map(() => "unknown");
    }
  }

  /** The process has ended, or never was: nobody may ask any more. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#known.resolve(undefined);
    for (const { decide } of this.#waiting.splice(0)) decide("unknown");
  }
}

/**
 * The process's sockets; undefined if it has a user of its own, and root of a service may not look into it: then the user
 * tells, which two agents have in common only if they have the same offset.
 */
async function inodesOf(pid: number, user: number | undefined): Promise<ReadonlySet<string> | undefined> {
  try {
    return await socketsOf(pid);
  } catch (error) {
    if (user !== undefined && isSystemError(error, "EACCES", "EPERM")) return undefined;
    throw error;
  }
}

/** A port that is shared with another process is not the machine's. */
function verdictOn(sockets: readonly HostSocket[], isOwn: (socket: HostSocket) => boolean): Verdict {
  if (sockets.length === 0) return "unknown";
  return sockets.every(isOwn) ? "own" : "foreign";
}
