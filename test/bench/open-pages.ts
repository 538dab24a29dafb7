/** Pages that people have open, as the browser's script keeps them up to date (controller/dashboard/static/live.js). */
import { setTimeout as sleep } from "node:timers/promises";
import { readEvents } from "../../controller/client/event-reader.ts";

const paths = ["/", "/builds", "/agents"];
/** After a change; what changes meanwhile is in it. A few at once, then one in so many milliseconds. */
const refreshMs = 300;
const [atOnce, eachMs] = [3, 5000];
const reconnectMs = 3000;

/** Opens so many, until the signal comes. @returns how often they have been fetched again, and connections broke. */
export async function openPages(
  url: string,
  count: number,
  signal: AbortSignal,
): Promise<{ refreshed: number; broken: number }> {
  const counts = { refreshed: 0, broken: 0 };
  await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const page = url + paths[index % paths.length]!;
      await (await fetch(page, { headers: { accept: "text/html" }, signal })).text();
      void follow(url, page, counts, signal);
    }),
  );
  return counts;
}

/** Comes back when the connection breaks, as browsers do. */
async function follow(
  url: string,
  page: string,
  counts: { refreshed: number; broken: number },
  signal: AbortSignal,
): Promise<void> {
  let isPlanned = false;
  let [allowed, countedAt] = [atOnce, performance.now()];
  const refresh = async () => {
    const now = performance.now();
    allowed = Math.min(atOnce, allowed + (now - countedAt) / eachMs) - 1;
    countedAt = now;
    await sleep(Math.max(refreshMs, -allowed * eachMs), undefined, { signal });
    isPlanned = false;
    await (await fetch(page, { headers: { accept: "text/html" }, signal })).text();
    counts.refreshed++;
  };
  while (!signal.aborted)
    try {
      const events = await fetch(`${url}/api/v1/events`, { signal });
      for await (const { event } of readEvents(events.body!)) {
        if (event !== "build" || isPlanned) continue;
        isPlanned = true;
        refresh().catch(() => {}); // the next change brings it
      }
    } catch {
      if (signal.aborted) return;
      counts.broken++;
      await sleep(reconnectMs, undefined, { signal }).catch(() => {});
    }
}
