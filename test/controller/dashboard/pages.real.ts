/** Every page that there is, as people see it: by axe-core, on a phone, in the dark, without script; and who may do what there. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import axe from "axe-core";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { launchBrowser } from "../../fixtures/browser.ts";
import { patienceMs } from "../../fixtures/patience.ts";
import { takeNext } from "../built.ts";
import { routes } from "../authentication/route-table.ts";
import { openShownFarm, type ShownFarm } from "./shown-farm.ts";
import { Visitor } from "./visitor.ts";

/** What is no page: for programs, or files that pages use. */
const noPages = /^GET \/(?:api\/|agent\/|badge\/|static\/|metrics|healthz|readyz|builds\/:id\/live)/;

let farm: ShownFarm;
/** By route, addresses of it. */
let pages: Record<string, string[]>;
before(async () => {
  farm = await openShownFarm();
  pages = {
    "GET /": ["/"],
    "GET /agents": ["/agents"],
    "GET /builds": [
      "/builds",
      "/builds?submission=1",
      "/builds?text=greet&status=error",
      "/builds?name=nothing",
    ],
    "GET /builds/:id": [`/builds/${farm.failed}`, `/builds/${farm.building}`],
    "GET /builds/:id/logs/:attempt/:ordinal": [`/builds/${farm.failed}/logs/1/1?severity=error`],
    "GET /packages/:name": ["/packages/greeter", "/packages/nothing", "/packages/boot-matrix-1a2b3c4d"],
    "GET /events": ["/events"],
    "GET /events/:id": [`/events/${farm.event}`],
    "GET /docs": ["/docs"],
    "GET /docs/*": ["/docs/concepts"],
    "GET /deliveries": ["/deliveries", "/deliveries?state=failed", "/deliveries?build=999"],
    "GET /deliveries/:id": farm.messages.map((id) => `/deliveries/${id}`),
    "GET /sign-in": ["/sign-in"],
    "GET /submit": ["/submit"],
  };
});
after(() => farm?.[Symbol.asyncDispose]());

test("no page is forgotten here", () => {
  const known = Object.keys(routes).filter((route) => route.startsWith("GET ") && !noPages.test(route));
  assert.deepEqual(known.sort(), Object.keys(pages).sort());
});

describe("the pages of the farm", () => {
  test("show at one look what runs, waits, failed, and how the week was", async () => {
    const visitor = new Visitor(farm.url);
    const { text } = await visitor.get("/");
    assert.match(text, /<b>1<\/b> building/);
    assert.match(text, /77 %/);
    assert.match(text, /The target debian-13-arm64 is paused by ann: its board is being repaired/);
    assert.match(text, /target &#39;debian-13-arm64&#39; is paused \(its board is being repaired\)/);
    assert.match(text, new RegExp(`href="/builds/${farm.failed}">#${farm.failed}<`));
    assert.match(text, /<title>\d{4}-\d\d-\d\d: 8 good, 2 with warnings, 3 failed/);
  });

  test("tell of a package since when it fails, and by which commit", async () => {
    const { text } = await new Visitor(farm.url).get("/packages/greeter");
    assert.match(
      text.replace(/\s+/g, " "),
      /<b>debian-13-arm64<\/b> has failed since <a href="\/builds\/6">#6<\/a> 1\.1 <code>main@222222222222<\/code>/,
    );
    assert.match(text, /aria-label="#9, debian-13-arm64: error"/);
    assert.match(text, /<svg\s+class="chart line"/);
  });

  test("show a boss's run as a matrix of its targets and commits", async () => {
    const { text } = await new Visitor(farm.url).get("/packages/boot-matrix-1a2b3c4d");
    assert.match(text, /0 of 3 builds have ended; none failed/);
    const [, ...rows] = text.split("<tr>").map((row) => row.replace(/\s+/g, " "));
    assert.match(rows[0]!, /Target.*000000000000 Say it.*111111111111 Say it/);
    assert.match(rows[1]!, /<th scope="row">qemu_arm64<\/th>.*qemu_arm64, 000000000000 Say it: queued.*–/);
    assert.match(rows[2]!, /<th scope="row">sandbox<\/th>.*sandbox, 0.*sandbox, 111111111111 Say it: queued/);
  });

  test("find builds by text, day, agent and submission, with counts that agree", async () => {
    const visitor = new Visitor(farm.url);
    const found = async (query: string) => {
      const { text, status } = await visitor.get(`/builds?${query}`);
      assert.equal(status, 200, query);
      const rows = [...text.matchAll(/class="row" href="\/builds\/(\d+)"/g)].map(([, id]) => Number(id));
      return { rows, all: Number(/>All\s*<span class="count">(\d+)/.exec(text)![1]) };
    };
    assert.deepEqual(await found("text=GREET&state=finished"), {
      rows: [9, 8, 7, 6, 5, 4, 3, 2, 1],
      all: 12,
    });
    assert.deepEqual(await found("text=%239"), { rows: [9], all: 1 });
    assert.deepEqual(await found("text=ffffffff"), { rows: [24], all: 1 });
    assert.deepEqual(await found("submission=4&status=&agent="), { rows: [6, 5, 4], all: 3 });
    assert.equal((await found("agent=forge-1&state=building")).rows.length, 1);
    assert.equal((await found("agent=nobody")).all, 0);
    assert.equal((await found("until=2025-01-01")).all, 0);
    assert.equal((await found("since=2025-02-31&status=abort")).rows.length, 0);
    assert.equal((await visitor.get("/builds?since=yesterday")).status, 400);
  });

  test("show a whole log by its lines, and list what is looked for in all of it", async () => {
    const visitor = new Visitor(farm.url);
    const { controller } = farm;
    await controller.builds.submit(
      {
        name: "wordy",
        version: "1",
        repository: "https://x.org/w.git",
        targets: ["debian-12-amd64"],
        priority: 5,
      },
      null,
    );
    const lines = Array.from({ length: 6000 }, (_, line) => `line ${line + 1}`);
    lines[499] = "b.c:1: error: before what the build's page shows";
    [lines[2499], lines[4998]] = ["a.c:1: \x1b[31merror:\x1b[0m in the middle", "the END is near"];
    const session = await takeNext(controller);
    const operations = [{ name: "update", status: "error" as const, log: lines.join("\n") }];
    await controller.results.store(session, { version: "1", status: "error", operations });
    const at = `/builds/${session.build}/logs/1/0`;
    const shown = async (query: string) => {
      const { text } = await visitor.get(`${at}?${query}`);
      const numbers = [...text.matchAll(/<div id="o0-L(\d+)"/g)].map(([, number]) => Number(number));
      const found = [...text.matchAll(/<li value="(\d+)"/g)].map(([, number]) => Number(number));
      return [numbers[0], numbers.at(-1), ...found];
    };
    const { text } = await visitor.get(`/builds/${session.build}`);
    assert.match(text, new RegExp(`href="${at}"`));
    const listed = text.slice(text.indexOf('<ul class="problems">'), text.indexOf('<div class="log"'));
    assert.match(listed, /href="#o0-L2500"/);
    assert.match(listed, new RegExp(`href="${at}\\?severity=error"\\s*>All 2 errors in the whole\\s+log</a`));
    assert.deepEqual(await shown(""), [1, 2000]);
    assert.deepEqual(await shown("from=4001"), [4001, 6000]);
    assert.deepEqual(await shown("from=9999"), [6000, 6000]);
    assert.deepEqual(await shown("severity=error"), [1, 2000, 500, 2500]);
    assert.deepEqual(await shown("text=end+IS"), [1, 2000, 4999]);
    assert.equal((await visitor.get(`/builds/${session.build}/logs/1/1`)).status, 404);
    assert.equal((await visitor.get(`/builds/${session.build}/logs/2/0`)).status, 404);
  });

  test("pause and resume for administrators, and show nobody else a button", async () => {
    const admin = new Visitor(farm.url);
    await admin.signIn(farm.token);
    const other = new Visitor(farm.url);
    await other.signIn(await farm.controller.tokens.create("bob", "trusted"));
    assert.doesNotMatch((await other.get("/agents")).text, /<form method="post" action="\/agents/);
    const refused = await other.send("/agents/pause", { form: await other.form("/submit"), kind: "all" });
    assert.equal(refused.status, 403);
    const form = await admin.form("/agents");
    for (const [fields, status] of [
      [{ kind: "agent", name: "forge-2", reason: "a fan" }, 303],
      [{ kind: "agent", name: "unheard-of" }, 400],
      [{ kind: "target" }, 400],
      [{ kind: "everything" }, 400],
    ] as const)
      assert.equal(
        (await admin.send("/agents/pause", { form, ...fields })).status,
        status,
        JSON.stringify(fields),
      );
    assert.equal((await admin.send("/agents/pause", { kind: "all" })).status, 403, "without a form's value");
    const paused = await farm.controller.pauses.ofAgent("forge-2");
    assert.deepEqual([paused?.reason, paused?.paused_by], ["a fan", "ann"]);
    assert.match((await other.get("/")).text, /The agent forge-2 is paused by ann: a fan/);
    assert.equal(
      (await admin.send("/agents/resume", { form, kind: "agent", name: "forge-2" })).to,
      "/agents",
    );
    assert.equal(await farm.controller.pauses.ofAgent("forge-2"), undefined);
  });

  test("tell administrators what was sent to whom, and send it again", async () => {
    const admin = new Visitor(farm.url);
    await admin.signIn(farm.token);
    const other = new Visitor(farm.url);
    await other.signIn(await farm.controller.tokens.create("tess", "trusted"));
    const [failed] = farm.messages;
    assert.match((await admin.get("/builds")).text, /href="\/deliveries"/);
    assert.doesNotMatch((await other.get("/builds")).text, /href="\/deliveries"/);
    assert.equal((await other.get(`/deliveries/${failed}`)).status, 403);
    assert.equal(
      (await new Visitor(farm.url).get("/deliveries?state=failed")).to,
      "/sign-in?to=%2Fdeliveries%3Fstate%3Dfailed",
    );
    const rows = async (query: string) => {
      const { text } = await admin.get(`/deliveries?${query}`);
      return [...text.matchAll(/class="row" href="\/deliveries\/(\d+)"/g)].map(([, id]) => Number(id));
    };
    assert.deepEqual(await rows(""), farm.messages.toReversed());
    assert.deepEqual(await rows("state=failed&notification="), [failed]);
    assert.deepEqual(await rows("notification=mail"), [farm.messages[1]]);
    assert.equal((await admin.get("/deliveries?state=lost")).status, 400);
    const { text } = await admin.get(`/deliveries/${failed}`);
    assert.match(text, /the answer was 503[^]*certificate has expired/);
    const form = await admin.form("/submit");
    const again = (visitor: Visitor, id: number, value = form) =>
      visitor.send(`/deliveries/${id}/redeliver`, { form: value });
    assert.equal((await again(other, failed!, await other.form("/submit"))).status, 403);
    assert.equal((await again(admin, failed!, "x")).status, 403);
    assert.equal((await again(admin, 999)).status, 404);
    assert.equal((await farm.controller.deliveries.find(failed!))!.delivery.state, "failed");
    assert.equal((await again(admin, failed!)).to, `/deliveries/${failed}`);
    assert.equal((await farm.controller.deliveries.find(failed!))!.delivery.state, "open");
  });

  test("have another value in each form, and come compressed to who takes it, but no stream does", async () => {
    const visitor = new Visitor(farm.url);
    await visitor.signIn(farm.token);
    assert.notEqual(await visitor.form("/submit"), await visitor.form("/submit"));
    for (const [accepted, encoding] of [
      ["gzip, deflate, br", "br"],
      ["gzip;q=0.5", "gzip"],
      ["br;q=0, gzip", "gzip"],
      ["identity", null],
    ] as const) {
      const answer = await fetch(`${farm.url}/builds`, { headers: { "accept-encoding": accepted } });
      assert.equal(answer.headers.get("content-encoding"), encoding);
      assert.match(await answer.text(), /<\/html>/);
    }
    const abort = new AbortController();
    const stream = await fetch(`${farm.url}/api/v1/events`, {
      headers: { "accept-encoding": "br" },
      signal: abort.signal,
    });
    assert.equal(stream.headers.get("content-encoding"), null);
    abort.abort();
  });
});

describe("each page", () => {
  let browser: Browser;
  before(async () => void (browser = await launchBrowser()));
  after(() => browser?.close());

  async function openPage(options: BrowserContextOptions, isSignedIn: boolean): Promise<Page> {
    const page = await browser.newPage(options);
    page.setDefaultTimeout(patienceMs);
    if (isSignedIn) {
      await page.goto(`${farm.url}/sign-in`);
      await page.getByLabel("Token").fill(farm.token);
      await page.keyboard.press("Enter");
      await page.waitForURL(/\/builds$/);
    }
    return page;
  }

  const ways: [string, BrowserContextOptions, boolean][] = [
    ["at a desk", { viewport: { width: 1280, height: 800 } }, true],
    [
      "in the dark and on a phone, to a stranger",
      { viewport: { width: 360, height: 700 }, colorScheme: "dark" },
      false,
    ],
  ];
  for (const [way, options, isSignedIn] of ways)
    test(`is clean to axe-core and fits, ${way}`, async () => {
      const page = await openPage(options, isSignedIn);
      const complaints: string[] = [];
      page.on("console", (message) => void (message.type() === "error" && complaints.push(message.text())));
      page.on("pageerror", (error) => void complaints.push(error.message));
      for (const path of Object.values(pages).flat()) {
        const answer = await page.goto(farm.url + path);
        await page.evaluate(axe.source);
        const { violations } = (await page.evaluate("axe.run()")) as axe.AxeResults;
        const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
        assert.deepEqual(found, [], path);
        const wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
        assert.ok((wide as number) <= 0, `${path} is ${String(wide)} too wide`);
        if (answer!.status() === 200) assert.deepEqual(complaints, [], path);
        complaints.length = 0;
      }
      await page.context().close();
    });

  test("says the same without script, and is printed without what only a screen needs", async () => {
    const [plain, scripted] = [
      await openPage({ javaScriptEnabled: false }, false),
      await openPage({ viewport: { width: 1280, height: 800 } }, false),
    ];
    const textOf = async (page: Page) =>
      (await page.locator("main").innerText()).replace(/\b[\dhms]+s( ago)?\b/g, "T").replace(/\s+/g, " ");
    for (const path of Object.values(pages).flat()) {
      const look = async () => {
        for (const page of [plain, scripted]) await page.goto(farm.url + path);
        return [await textOf(plain), await textOf(scripted)] as const;
      };
      let [text, other] = await look();
      if (other !== text) [text, other] = await look(); // an agent was not heard of for a minute just then
      assert.ok(text.length > 10, path);
      assert.equal(other, text, path);
    }
    await scripted.emulateMedia({ media: "print" });
    await scripted.goto(`${farm.url}/builds`);
    assert.equal(await scripted.getByRole("search").count(), 0);
    for (const page of [plain, scripted]) await page.context().close();
  });
});
