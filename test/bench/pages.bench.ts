/**
 * Each page's weight and time with 20,000 builds and a build whose log has 100,000 lines: bytes as they are and as they travel
 * (brotli), processor time of the controller and its embedded database, and, in a browser, the time of its script.
 */
import { launchBrowser } from "../fixtures/browser.ts";
import { startServer } from "../../controller/server.ts";
import { openFarm } from "../controller/in-process.ts";
import { takeNext } from "../controller/built.ts";
import type { OpenController } from "../../controller/controller.ts";
import { cost } from "./processor-time.ts";

const builds = 20_000;
const logLines = 100_000;
const calls = 10;
const names = ["debian-13", "debian-12", "fedora-43", "alpine-3"];

export default async function bench(): Promise<void> {
  const configuration = `listen: 127.0.0.1:0\ntargets: [${names.map((name) => `{ name: ${name} }`).join(", ")}]\n`;
  await using controller = await openFarm("embedded", configuration);
  await using server = await startServer(controller);
  const long = await fill(controller);
  const browser = await launchBrowser();
  try {
    process.stdout.write(`${"page".padEnd(44)}     bytes   brotli   server   script\n`);
    for (const path of [
      "/",
      "/builds",
      "/builds?limit=500",
      "/builds?text=name-7&status=error",
      "/builds?text=0.77",
      "/builds?agent=host&state=finished",
      "/packages/name-7",
      "/agents",
      `/builds/${long}`,
      `/builds/${long}/logs/1/0?from=50000`,
      `/builds/${long}/logs/1/0?severity=warning`,
      "/events",
      "/submit",
      "/docs/first-farm",
    ]) {
      const get = (encoding: string) =>
        fetch(server.url + path, { headers: { "accept-encoding": encoding, connection: "close" } });
      const plain = (await (await get("identity")).arrayBuffer()).byteLength;
      const packed = Number((await get("br")).headers.get("content-length") ?? plain);
      const took = await cost(0, calls, async () => (await get("br")).arrayBuffer());
      const script = await scriptMs(browser, server.url + path);
      const columns = [String(plain), String(packed), `${took.toFixed(1)} ms`, `${script.toFixed(1)} ms`];
      process.stdout.write(`${path.padEnd(44)} ${columns.map((text) => text.padStart(9)).join("")}\n`);
    }
  } finally {
    await browser.close();
  }
}

/** What the browser's script takes until the page is at rest. */
async function scriptMs(browser: Awaited<ReturnType<typeof launchBrowser>>, url: string): Promise<number> {
  const page = await browser.newPage();
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  await page.goto(url, { waitUntil: "load" });
  const { metrics } = await session.send("Performance.getMetrics");
  await page.close();
  return 1000 * (metrics.find(({ name }) => name === "ScriptDuration")?.value ?? 0);
}

/** Five thousand submissions for four targets each, of a hundred packages; the last build has the long log. */
async function fill(controller: OpenController): Promise<number> {
  const what = {
    name: "name-7",
    version: "1.0",
    repository: "https://x.org/x.git",
    targets: ["*"],
    priority: 0,
  };
  await controller.builds.submit(what, "ann");
  await controller.database.query(
    `insert into croft.builds (name, version, target, repository, specification, queue, priority, queue_priority, state, status,
       submitted_by, rank, submission, created_at, queued_at, started_at, finished_at)
     select 'name-' || (n / 4) % 100, '0.' || n / 4, b.target, b.repository, b.specification, b.queue, 0, 0, 'finished',
       case when n % 17 = 0 then 'error' when n % 5 = 0 then 'warning' else 'success' end, 'who' || n % 20, 0,
       case when n % 4 = 0 then null else 5 + n - n % 4 end, at, at, at + interval '20 seconds', at + n % 300 * interval '1 second'
     from (select n, now() - (($1 - n)::float8 / $1 * interval '8 days') as at from generate_series(0, $1::integer - 1) as n) as times
     join croft.builds b on b.id = 1 + n % 4 order by n`,
    [builds],
  );
  await controller.database.query("update croft.queues set finished = $1 / 4", [builds]);
  await controller.database.query("vacuum (analyze) croft.builds");
  const session = await takeNext(controller);
  const lines = Array.from({ length: logLines }, (_, line) =>
    line % 1000 === 500
      ? `src/a-${line}.c:3:1: warning: unused variable 'x'`
      : `[${line}/${logLines}] cc -c -O2 -o a-${line}.o a-${line}.c`,
  );
  lines[50_000] = "src/middle.c:1:1: error: expected ';'";
  const operations = [{ name: "update", status: "error" as const, log: `${lines.join("\n")}\n` }];
  await controller.results.store(session, { version: "1.0", status: "error", operations });
  return session.build;
}
