import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { partsOf } from "../../../controller/book/contents.ts";
import { addressOf, renderPage } from "../../../controller/book/render.ts";

describe("a page of the manual", () => {
  test("has what it says of HTML as text, and no link that runs anything", () => {
    const { html } = renderPage("a", "# T\n\n<script>alert(1)</script> [x](javascript:alert(1)) `<b>`\n");
    assert.doesNotMatch(html, /<script|<b>|href="javascript/i);
    assert.match(html, /&lt;script&gt;/);
    assert.match(html, /<code>&lt;b&gt;<\/code>/);
  });

  test("has its title, its sections with the anchors that forges make, and code as it is", () => {
    const text =
      "<!-- begin x -->\n\n# A `b`\n\n## Who, and what?\n\n## Who, and what?\n\n```sh\na <b> &\n```\n";
    const { title, sections, html } = renderPage("a", text);
    assert.equal(title, "A b");
    assert.deepEqual(
      sections.map(({ id }) => id),
      ["who-and-what", "who-and-what-1"],
    );
    assert.match(html, /<code>a &lt;b&gt; &amp;\n<\/code>/);
    assert.doesNotMatch(html, /begin x/);
  });

  test("leads to other pages of the book, and leaves other addresses alone", () => {
    assert.equal(addressOf("service.md#day-by-day", "agent"), "/docs/service#day-by-day");
    assert.equal(addressOf("decisions/proof.md", "controller"), "/docs/decisions/proof");
    assert.equal(addressOf("../agent.md", "decisions/proof"), "/docs/agent");
    assert.equal(addressOf("README.md", "agent"), "/docs");
    assert.equal(addressOf("../CHANGELOG.md", "upgrading"), "/docs/CHANGELOG");
    assert.equal(addressOf("docs/agent.md#x", "CHANGELOG"), "/docs/agent#x");
    assert.equal(addressOf("#here", "agent"), "#here");
    assert.equal(addressOf("https://example.org/", "agent"), "https://example.org/");
  });

  test("stands in the parts of the contents, in their order", () => {
    const text =
      "# M\n\n- [no](no.md)\n\n## One\n\n- [A](a.md): x\n- [B](b/c.md)\n\n## Two\n\nwords [no](no.md)\n";
    assert.deepEqual(partsOf(text), [
      {
        title: "One",
        chapters: [
          { title: "A", name: "a" },
          { title: "B", name: "b/c" },
        ],
      },
    ]);
  });
});
