/**
 * What agent, controller and worker bound, each at its end of a connection: the numbers stand here together, so that what one
 * sends is never more than the other takes.
 */

const MiB = 1024 * 1024;

/** Text of a result as a machine leaves it, decompressed. */
export const resultMaxBytes = 96 * MiB;
/** The request with it: what the agent adds (session, signature, what became of artifacts) has its room here. */
export const resultRequestMaxBytes = 100 * MiB;
/** Names and values of a result; many small ones take 70 times their size in memory. */
export const resultValuesMax = 100_000;
/** Operations of a result that a controller keeps. */
export const operationsMax = 100;
/** Characters of a value that is shown in lists: versions, names of operations, checksums. */
export const shownValueMaxCharacters = 500;
/** Files and directories of a machine's uploads; a worker sends fewer files than that. */
export const uploadEntriesMax = 10_000;
/** A task request: some 40,000 machines with names and summaries of usual length. */
export const taskRequestMaxBytes = 8 * MiB;
/** A piece of a live log: what an agent sends at a time, and what a controller takes. */
export const logChunkBytes = { sent: MiB / 4, taken: 4 * MiB } as const;
