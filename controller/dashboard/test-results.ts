/** What tests of a build said, on its page. */
import { visible } from "../../os/text/visible.ts";
import { testsOf, type TestResults } from "../reports/test-reports.ts";
import { testsText } from "../reports/tests-text.ts";
import { html, type Markup } from "./html.ts";

/** That of one attempt; nothing if no report came of it. */
export function testResults(results: TestResults, session: number | undefined): Markup | false {
  const all = testsOf(results, session);
  if (!all) return false;
  const notShown = all.failures + all.errors - all.failed.length;
  return html`<h2>Tests</h2>
    <p>${testsText(all)}</p>
    ${all.reports
      .filter(({ trouble }) => trouble !== null)
      .map(
        ({ name, trouble }) =>
          html`<p class="error-text">The report ${visible(name)} cannot be read: ${visible(trouble!)}</p>`,
      )}
    ${all.failed.map(
      ({ suite, name, kind, message, details }) =>
        html`<details class="log-box">
          <summary>
            ${suite !== "" && html`<span class="quiet">${visible(suite)}</span> `}${visible(name)}
            <span class="counts"><span class="error-text">${kind}</span></span>
          </summary>
          <pre class="log test" tabindex="0">
${[message, details]
              .filter((text) => text !== "")
              .map(lines)
              .join("\n\n")}</pre>
        </details>`,
    )}
    ${notShown > 0 && html`<p class="quiet">${notShown} more have failed; the reports among the artifacts have them.</p>`}`;
}

function lines(text: string): string {
  return text.replaceAll("\t", "    ").split("\n").map(visible).join("\n");
}
