/** What a host lacks just now that builds need. */

/** As the host has told it; 0: it could not tell. */
export interface HostState {
  threads: number;
  /** Load average of the last minute. */
  load: number;
  freeMemoryMiB: number;
  freeDiskMiB: number;
}

/** With less, a compiler or its files hardly have room. */
const leastMemoryMiB = 256;
const leastDiskMiB = 1024;

/** In per cent of what all threads could do. */
function loadPercent({ load, threads }: Pick<HostState, "load" | "threads">): number {
  return Math.round((100 * load) / Math.max(1, threads));
}

/** What is told of a host that builds all the same; undefined if nothing is short. */
export function strainOf(state: HostState): string | undefined {
  const { freeMemoryMiB: memory, freeDiskMiB: disk } = state;
  const short = [
    ...(memory > 0 && memory < leastMemoryMiB ? [`only ${memory} MiB of memory are free`] : []),
    ...(disk > 0 && disk < leastDiskMiB ? [`only ${disk} MiB are free on its disk`] : []),
  ];
  return short.length > 0 ? short.join(", ") : undefined;
}

/** Why a host is not to get work; undefined if it is. */
export function tooBusy(state: HostState, mostPercent: number): string | undefined {
  const percent = loadPercent(state);
  const reason =
    percent > mostPercent ? `its load is ${percent} % of what its threads can do` : strainOf(state);
  return reason === undefined ? undefined : `${reason} (--load ${mostPercent})`;
}
