/** Locks fought over: 3,000 times by flock(1) and ours, 1,500 rounds beside an operator on both kinds of storage */
process.env["CROFT_LOCK_TIMES"] = "3000";
process.env["CROFT_CONTENTION_ROUNDS"] = "1500";
await import("../machines/flock.real.ts");
await import("../machines/contention.real.ts");
