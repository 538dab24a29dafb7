/** Processor time of a controller and its database, in one process or in several. */
import { readdirSync, readFileSync } from "node:fs";
import type { OpenController } from "../../controller/controller.ts";

/** The first process of a controller's PostgreSQL server. */
export async function postmasterOf({ database }: OpenController): Promise<number> {
  const [file] = await database.query<{ text: string }>("select pg_read_file('postmaster.pid') as text");
  return Number.parseInt(file!.text, 10);
}

/** Milliseconds of this process and, if it is not 0, of a PostgreSQL server with all its processes. */
export function processorMs(postmaster: number): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000 + processorMsOf(0, postmaster);
}

/** Milliseconds of a process, and of a PostgreSQL server with all its processes; 0 is none. */
export function processorMsOf(one: number, postmaster: number): number {
  let ticks = 0;
  const looked = postmaster === 0 ? [String(one)] : readdirSync("/proc");
  for (const pid of looked) {
    if (!/^[1-9]\d*$/.test(pid)) continue;
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ");
      const isServers = postmaster !== 0 && (Number(pid) === postmaster || Number(fields[1]) === postmaster);
      if (Number(pid) === one || isServers) ticks += Number(fields[11]) + Number(fields[12]);
      // What has ended of the server's is counted by the first of its processes.
      if (Number(pid) === postmaster) ticks += Number(fields[13]) + Number(fields[14]);
    } catch {
      // it ended meanwhile
    }
  }
  return ticks * 10; // proc(5), sysconf(_SC_CLK_TCK) is 100
}

/** Processor time of a call in milliseconds, in this process and the database server's. */
export async function cost(postmaster: number, calls: number, work: () => Promise<unknown>): Promise<number> {
  for (let count = 0; count < 3; count++) await work();
  const before = processorMs(postmaster);
  for (let count = 0; count < calls; count++) await work();
  return (processorMs(postmaster) - before) / calls;
}
