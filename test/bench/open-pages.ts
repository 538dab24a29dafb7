/** Pages that people have open, as the browser's script keeps them up to date (controller/dashboard/static/live.js). */
import { setTimeout as sleep } from "node:timers/promises";
import { readEvents } from "../../controller/client/event-reader.ts";

const paths = ["/", "/builds", "/agents"];
/** After a change; what changes meanwhile is in it. */
const refreshMs = 300;

/** Opens so many, until the signal comes. @returns how often they have been fetched again. */
export async function openPages(
  url: string,
  count: number,
  signal: AbortSignal,
): Promise<{ refreshed: number }> {
  const counts = { refreshed: 0 };
  await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const page = url + paths[index % paths.length]!;
      await (await fetch(page, { headers: { accept: "text/html" }, signal })).text();
      const events = await fetch(`${url}/api/v1/events`, { signal });
      void follow(events, page, counts, signal).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    }),
  );
  return counts;
}

async function follow(
  events: Response,
  page: string,
  counts: { refreshed: number },
  signal: AbortSignal,
): Promise<void> {
  let isPlanned = false;
  const refresh = async () => {
    await sleep(refreshMs, undefined, { signal });
    isPlanned = false;
    await (await fetch(page, { headers: { accept: "text/html" }, signal })).text();
    counts.refreshed++;
  };
  for await (const { event } of readEvents(events.body!)) {
    if (event !== "build" || isPlanned) continue;
    isPlanned = true;
    refresh().catch(() => {}); // the next change brings it
  }
}
