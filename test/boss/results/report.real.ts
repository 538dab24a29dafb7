/** The report in a browser, with hostile text in the results. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { findMatrix } from "../../../boss/results/found-matrix.ts";
import { reportPage } from "../../../boss/results/report-html.ts";
import { ResultStore } from "../../../boss/results/store.ts";
import { summarize } from "../../../boss/results/summary.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { launchBrowser } from "../../fixtures/browser.ts";

test("the report is one page: a coloured matrix, changes, messages, and nothing that runs", async () => {
  await using directory = await temporaryDirectory("croft-test-report-");
  const output = join(directory.path, "results");
  const commits = ["a", "b"].map((digit, at) => ({ hash: digit.repeat(40), subject: `Commit <b>${at}</b>` }));
  const store = new ResultStore(output, commits);
  const target = (name: string) => ({ name, arch: "sandbox" });
  const good = { returnCode: 0, stderr: "", stdout: "", host: "alpha" };
  const hostile = `x.c:1: error: <script>document.title = "owned"</script><img src=x onerror="document.title='owned'">\n`;
  store.write(target("one"), 0, { ...good, sizes: "100\t10\t0\t110\t6e\tone\n" });
  store.write(target("one"), 1, { ...good, sizes: "120\t10\t0\t130\t82\tone\n" });
  store.write(target("two"), 0, { ...good, stderr: "x.c:2: warning: odd\n" });
  store.write(target("two"), 1, { ...good, returnCode: 2, stderr: hostile });
  store.write(target("three"), 0, good);
  await store.settle();
  const found = await findMatrix(output);
  const page = join(directory.path, "report.html");
  const pieces = reportPage(
    "Builds of <i>it</i>",
    found.store,
    found.matrix,
    summarize(found.store, found.matrix),
  );
  writeFileSync(page, [...pieces].join(""));
  const browser = await launchBrowser();
  try {
    const view = await browser.newPage();
    const requests: string[] = [];
    view.on("request", (request) => requests.push(request.url()));
    await view.goto(pathToFileURL(page).href);
    const classes = await view
      .locator("tbody td")
      .evaluateAll((cells) => cells.map((cell) => cell.className));
    assert.deepEqual(classes, ["built", "built", "built", "missing", "warning", "failed"]);
    assert.equal(await view.title(), "Builds of <i>it</i>");
    assert.match(await view.locator("h2 + ol").innerText(), /broken: two: x.c:1: error: <script>/);
    assert.match(await view.locator("h2 + ol").innerText(), /size: one: one: text \+20/);
    await view.locator("td.failed a").click();
    const message = view.locator("details", { hasText: "error" });
    assert.ok(await message.isVisible());
    assert.match(await message.innerText(), /two at b{12} on alpha/);
    assert.deepEqual(requests, [pathToFileURL(page).href]);
    const colour = await view.locator("td.failed").evaluate((cell) => {
      const page = globalThis as unknown as { getComputedStyle(of: unknown): { backgroundColor: string } };
      return page.getComputedStyle(cell).backgroundColor;
    });
    assert.equal(colour, "rgb(207, 34, 46)");
  } finally {
    await browser.close();
  }
});
