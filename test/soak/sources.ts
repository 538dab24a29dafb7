/** Sources that tell when they are fetched and built. */
import { EventEmitter } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { serveSources, packSource, script } from "../worker/sources.ts";

export interface CountedSources extends AsyncDisposable {
  /** As machines reach them. */
  readonly guestUrl: string;
  /** Emits `begun` and `done` with the build's name. */
  readonly events: EventEmitter<{ begun: [string]; done: [string] }>;
  /** How often a build has begun, and how often it has come to its end. */
  count(what: "begun" | "done", name: string): number;
  /** Builds that begin now wait until so many of them have begun: they run at the same time, or not at all. */
  meet(builds: number): void;
  /** Makes the source of a build that tells when it begins and ends, and prints what its machine was started with. */
  add(name: string, seconds?: number): Promise<void>;
}

export async function serveCountedSources(): Promise<CountedSources> {
  await using stack = new AsyncDisposableStack();
  const sources = stack.use(await serveSources());
  const events = new EventEmitter<{ begun: [string]; done: [string] }>();
  const counts = new Map<string, number>();
  let meeting = { builds: 0, waiting: [] as (() => void)[] };
  const server = createServer((request, response) => {
    const [, what, name] = (request.url ?? "").split("/");
    counts.set(`${what} ${name}`, (counts.get(`${what} ${name}`) ?? 0) + 1);
    if (what === "begun" || what === "done") events.emit(what, name!);
    if (what !== "begun" || meeting.builds === 0) return void response.end();
    if (meeting.waiting.push(() => response.end()) < meeting.builds) return;
    for (const go of meeting.waiting) go();
    meeting = { builds: 0, waiting: [] };
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stack.defer(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  const tell = `wget -q -O /dev/null http://10.0.2.2:${(server.address() as AddressInfo).port}`;
  const resources = stack.move();
  return {
    guestUrl: `${sources.url.replace("127.0.0.1", "10.0.2.2")}/`,
    events,
    count: (what, name) => counts.get(`${what} ${name}`) ?? 0,
    meet: (builds) => void (meeting = { builds, waiting: [] }),
    add: (name, seconds = 0) => {
      const lines = [
        `${tell}/begun/${name}`,
        "cat /proc/cmdline /proc/sys/kernel/random/boot_id",
        `sleep ${seconds}`,
        `${tell}/done/${name}`,
      ];
      return packSource(sources, { ".croft/update": script(...lines) }, `${name}-1.0.tar.gz`);
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
