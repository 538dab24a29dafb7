/** The dashboard in a real browser. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { temporaryDirectory, type TemporaryDirectory } from "../../os/files/temporary.ts";
import { launchBrowser } from "../fixtures/browser.ts";
import { makeFarm, requestTask, sendLog, sendResult, submit, type Farm } from "./farm.ts";
import { shownTexts } from "./shown-texts.js";
import { patienceMs } from "../fixtures/patience.ts";

describe("the dashboard", () => {
  let farm: Farm;
  let url: string;
  let profile: TemporaryDirectory;
  let browser: Browser;
  let complaints: string[];
  before(async () => {
    farm = await makeFarm();
    url = (await farm.start()).url;
    profile = await temporaryDirectory("croft-test-browser-");
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await profile?.[Symbol.asyncDispose]();
    await farm[Symbol.asyncDispose]();
  });

  /** A page that notes what the browser objects to. */
  async function open(path: string, options: Parameters<Browser["newPage"]>[0] = {}): Promise<Page> {
    complaints = [];
    const page = await browser.newPage(options);
    page.setDefaultTimeout(patienceMs);
    page.on("console", (message) => void (message.type() === "error" && complaints.push(message.text())));
    page.on("pageerror", (error) => void complaints.push(error.message));
    page.on("dialog", (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    await page.goto(url + path);
    return page;
  }

  test("shows a build as it is submitted, taken and finished, without being loaded again", async () => {
    const page = await open("/builds");
    await page.getByText("No build yet").waitFor();
    await submit(url, { name: "greeter" });
    const row = page.locator("tr", { hasText: "greeter" });
    await row.getByText("queued").waitFor();
    const task = await requestTask(url);
    await row.getByText("building").waitFor();
    await sendResult(task, "warning");
    await row.getByText("warning").waitFor();
    await page.getByRole("link", { name: "Finished 1" }).click();
    await page.getByRole("link", { name: "#1" }).click();
    await page.getByRole("heading", { name: /greeter/ }).waitFor();
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test("follows a log while it grows, and then shows the result", async () => {
    const id = await submit(url, { name: "grower" });
    const page = await open(`/builds/${id}`);
    await page.getByText("Nothing printed yet").waitFor();
    const task = await requestTask(url);
    await page.locator("#state").getByText("building").waitFor();
    const start = "first line\n\u001b[1;31mred\u001b[0m line\nsrc/a.c:3: error: no\nhalf";
    await sendLog(task, 0, start);
    await page.locator("#a1-L3.error").waitFor();
    assert.equal(await page.locator("#a1-L2 span.b.f1").textContent(), "red");
    await page.locator("#live-tail").getByText("half").waitFor();
    const more = Array.from({ length: 200 }, (_, line) => `line ${line}`).join("\n");
    assert.equal((await sendLog(task, start.length, ` done\n${more}\n`)).status, 204);
    await page.locator("#a1-L204").waitFor();
    assert.equal(await page.locator("#a1-L4 code").textContent(), "half done\n");
    assert.equal(await page.locator("#live-lines > div").count(), 204);
    const atEnd = () =>
      page.locator("#live-log").evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight);
    assert.ok((await atEnd()) < 5, "the end of the log is in view");
    await sendResult(task, "error", [["update", "error", "a\nb.c:1:2: error: it broke\n"]]);
    await page.locator("#state").getByText("error").waitFor();
    await page.getByRole("link", { name: "b.c:1:2: error: it broke" }).click();
    await page.locator("#o0-L2.error:target").waitFor();
    await page.getByText("complete").waitFor();
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test("shows markup and scripts from logs, names and artifacts as text, and runs nothing", async () => {
    const evil = `<img src=x onerror=alert(1)><script>alert(2)</script>"'&`;
    const id = await submit(url, {
      name: `x<script>alert(3)</script>`,
      repository: "javascript:alert(4)//x",
    }).catch(() => submit(url, { name: `x<script>alert(3)</script>` }));
    const task = await requestTask(url, { agent: "<b>host</b>" });
    await sendLog(task, 0, `${evil}\n`);
    const page = await open(`/builds/${id}`);
    await page.locator("#a1-L1").waitFor();
    await sendLog(task, evil.length + 1, `\u001b[31m${evil}\n${evil}`);
    await page.locator("#a1-L2").waitFor();
    await page.locator("#live-tail").getByText("onerror").waitFor();
    for (const line of ["#a1-L1 code", "#a1-L2 code", "#live-tail code"])
      assert.equal(await page.locator(line).textContent(), `${evil}\n`);
    await sendResult(task, "success", [["<i>update</i>", "success", `${evil}\n`]]);
    await page.getByText("<i>update</i>").first().waitFor();
    await page.reload();
    assert.equal(await page.locator("#o0-L1 code").textContent(), `${evil}\n`);
    assert.equal(await page.locator("main script, main img, main b:not(td b, dd b), main i").count(), 0);
    assert.equal(await page.locator('a[href^="javascript:"]').count(), 0);
    assert.deepEqual(complaints, []);
    // Even a page that let a script through would not run it.
    await page.evaluate(
      "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">')",
    );
    assert.notEqual(await page.title(), "1");
    await page.close();
  });

  test("lets people submit, cancel and build again, with the keyboard alone and without scripts", async () => {
    for (const javaScriptEnabled of [true, false]) {
      const page = await open("/builds", { javaScriptEnabled });
      await page.getByRole("link", { name: "Submit" }).press("Enter");
      await page.keyboard.type("/srv/hello.git"); // where the caret is
      await page.keyboard.press("Enter");
      await page.getByRole("alert").getByText("agents build from a URL only").waitFor();
      await page.getByLabel("Repository").fill("https://x.org/typed.git");
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: /typed/ }).waitFor();
      await page.getByRole("button", { name: "Cancel" }).press("Enter");
      await page.locator("#state").getByText("cancelled").waitFor();
      await page.getByRole("button", { name: "Build again" }).press("Enter");
      await page.locator("#state").getByText("queued").waitFor();
      await page.getByRole("button", { name: "Cancel" }).click();
      await page.locator("#state").getByText("cancelled").waitFor();
      await page.close();
    }
  });

  test("can be read without scripts, and fits a phone", async () => {
    const id = await submit(url, { name: "reader" });
    const task = await requestTask(url);
    await sendLog(task, 0, `${"wide ".repeat(100)}\n`);
    const page = await open(`/builds/${id}`, {
      javaScriptEnabled: false,
      viewport: { width: 360, height: 700 },
    });
    await page.locator("#a1-L1").waitFor();
    for (const path of [`/builds/${id}`, "/builds"]) {
      await page.goto(url + path);
      const { width } = (await page.locator("main").boundingBox())!;
      assert.ok(width <= 360, `${path} is ${width} wide`);
    }
    await page.close();
    await sendResult(task, "success");
  });

  test("has text that can be read, in light and in dark: a contrast of 4.5 at least", async () => {
    for (const state of ["queued", "building"]) {
      await submit(url, { name: `seen-${state}` });
      if (state === "queued") await requestTask(url);
    }
    const id = await submit(url, { name: "colourful" });
    const paths = ["/builds", "/builds?state=building&name=seen-queued", `/builds/${id}`, "/builds/999"];
    // Every colour, dim and plain, in plain lines and in those that stand out, alone and on every other.
    const codes = Array.from({ length: 16 }, (_, code) => (code < 8 ? 30 + code : 82 + code));
    const lines = ["", "a.c:1: error: ", "a.c:1: warning: "].flatMap((start) => [
      start + codes.map((code) => `\x1b[${code}mtext\x1b[2mdim\x1b[0m`).join(" "),
      ...codes.map((code) => start + codes.map((on) => `\x1b[${code};${on + 10}mon\x1b[0m`).join(" ")),
      `${start}\x1b[2mdim\x1b[0m`,
    ]);
    let task = await requestTask(url);
    while (!JSON.stringify(task).includes("colourful")) task = await requestTask(url);
    await sendLog(task, 0, `${lines.join("\n")}\n`);
    for (const colorScheme of ["light", "dark"] as const) {
      const page = await open("/builds", { colorScheme });
      for (const path of [...paths, `/builds/${id}#a1-L1`]) {
        await page.goto(url + path);
        const texts = await page.evaluate(shownTexts);
        assert.ok(texts.length > 3, path);
        const poor = texts.filter(({ ratio }) => ratio < 4.5);
        assert.deepEqual(poor, [], `${colorScheme} ${path}`);
      }
      await page.close();
    }
    await sendResult(task, "success");
  });

  test("can be used with the keyboard alone", async () => {
    const page = await open("/builds");
    await page.keyboard.press("Tab");
    assert.equal(await page.locator(":focus").textContent(), "Skip to the content");
    for (let count = 0; count < 30; count++) {
      await page.keyboard.press("Tab");
      if (/^#\d+$/.test((await page.locator(":focus").textContent()) ?? "")) break;
    }
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/builds\/\d+$/);
    await page.close();
  });

  test("a log of many lines is one tab stop", async () => {
    const id = await submit(url, { name: "many-lines" });
    const task = await requestTask(url);
    await sendResult(task, "error", [["update", "error", "a\n".repeat(300)]]);
    const page = await open(`/builds/${id}`);
    await page.locator("#o0-L300").waitFor();
    const inLog = async () => page.locator(".log :focus").count();
    const isLog = async () => page.locator(".log:focus").count();
    let logs = 0;
    for (let count = 0; count < 25; count++) {
      await page.keyboard.press("Tab");
      assert.equal(await inLog(), 0);
      logs += await isLog();
    }
    assert.ok(logs > 0, "the log can be scrolled by keys");
    await page.close();
  });

  test("a filtered list says so, and how to see all again", async () => {
    await submit(url, { name: "another" });
    const page = await open("/builds?name=many-lines&status=error");
    const note = page.locator(".narrowed");
    assert.equal((await note.innerText()).trim(), "Only package many-lines status error · show all");
    assert.equal(await page.locator("tbody tr").count(), 1);
    await note.getByRole("link", { name: "show all" }).click();
    await page.waitForURL(/\/builds$/);
    await page.locator("tr", { hasText: "another" }).waitFor();
    assert.equal(await note.count(), 0);
    await page.close();
  });
});
