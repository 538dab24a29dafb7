/**
 * Reads reports of tests in JUnit's XML, as most test runners write it. They come out of machines, and may be anything: they are read in
 * pieces, without document types and entities of their own, up to bounds, and what was read before something was wrong counts.
 *
 * There is no standard; what is read here are `testsuite`s, below one another or in `testsuites`, with `testcase`s that have at most one of
 * `failure`, `error` and `skipped` (https://github.com/testmoapp/junitxml).
 */
import sax from "sax";
import { reasonOf } from "../../os/failure.ts";

/** What a report says. */
export interface JunitReport {
  tests: number;
  failures: number;
  errors: number;
  skipped: number;
  /** Of all tests together. */
  seconds: number;
  /** The first of those that failed. */
  failed: FailedTest[];
  /** Why it, or the rest of it, could not be read. */
  trouble?: string;
}

/** A test that failed. */
export interface FailedTest {
  suite: string;
  name: string;
  kind: "failure" | "error";
  message: string;
  details: string;
  seconds: number;
}

const longestReportBytes = 8 << 20;
const mostTests = 100_000;
const mostKept = 200;
const mostNesting = 100;
const longestName = 300;
/** More is collected than is shown, so that no secret is shown whose end was cut off. */
export const longestText = { collected: 40_000, shown: 4000 } as const;

/** What cannot be a report. */
class ReportError extends Error {}

/** Reads one; never throws for what is in it. */
export async function readJunit(content: AsyncIterable<Uint8Array>): Promise<JunitReport> {
  const reader = new JunitReader();
  const decoder = new TextDecoder();
  let bytes = 0;
  try {
    for await (const piece of content) {
      bytes += piece.length;
      if (bytes > longestReportBytes)
        throw new ReportError(`it is longer than ${longestReportBytes >> 20} MiB`);
      reader.write(decoder.decode(piece, { stream: true }));
    }
    reader.close();
  } catch (error) {
    reader.report.trouble = reasonOf(error).split("\n")[0]!.slice(0, longestName);
  }
  return reader.report;
}

class JunitReader {
  readonly report: JunitReport = { tests: 0, failures: 0, errors: 0, skipped: 0, seconds: 0, failed: [] };
  readonly #parser = sax.parser(true);
  /** Names of the elements that are open, and of suites their own names. */
  readonly #open: { element: string; name: string }[] = [];
  #test: (FailedTest & { outcome: "passed" | "skipped" | "failure" | "error" }) | undefined;

  constructor() {
    const parser = this.#parser;
    parser.onerror = (error) => {
      throw new ReportError(`it is no XML: ${error.message.replace(/\n/g, ", ").toLowerCase()}`);
    };
    parser.ondoctype = () => {
      throw new ReportError("it has a document type, which no report needs");
    };
    parser.onopentag = ({ name, attributes }) => this.#begin(name, attributes as Record<string, string>);
    parser.onclosetag = () => this.#end();
    parser.ontext = (text) => this.#text(text);
    parser.oncdata = (text) => this.#text(text);
  }

  write(text: string): void {
    this.#parser.write(text);
  }

  close(): void {
    this.#parser.close();
  }

  #begin(element: string, attributes: Record<string, string>): void {
    const { name = "", classname = "", time = "0", message = "", type = "" } = attributes;
    const isRoot = this.#open.length === 0;
    if (isRoot && element !== "testsuites" && element !== "testsuite")
      throw new ReportError(`it is no report of tests: it begins with '${element.slice(0, 50)}'`);
    if (this.#open.length >= mostNesting) throw new ReportError("it is nested too deeply");
    const isTest = element === "testcase" && this.#test === undefined;
    this.#open.push({ element, name: element === "testsuite" ? name.slice(0, longestName) : "" });
    if (isTest) {
      if (this.report.tests >= mostTests) throw new ReportError(`it has more than ${mostTests} tests`);
      const suite = classname === "" ? this.#suite() : classname;
      const spent = Number(time.replaceAll(",", "")); // some write thousands so
      this.#test = {
        ...{ suite: suite.slice(0, longestName), name: name.slice(0, longestName), kind: "failure" },
        ...{ message: "", details: "", outcome: "passed" },
        seconds: Number.isFinite(spent) && spent > 0 ? Math.min(spent, 1e9) : 0,
      };
    } else if (this.#test && this.#isOfTest()) this.#outcome(element, message === "" ? type : message);
  }

  /** Whether the innermost element stands in a test itself. */
  #isOfTest(): boolean {
    return this.#open.at(-2)?.element === "testcase";
  }

  #outcome(element: string, message: string): void {
    const test = this.#test!;
    if (element !== "failure" && element !== "error" && element !== "skipped") return;
    if (test.outcome === "failure" || test.outcome === "error") return; // the first one says it
    test.outcome = element;
    if (element === "skipped") return;
    test.kind = element;
    test.message = message.slice(0, longestText.collected);
  }

  #text(text: string): void {
    const test = this.#test;
    if (test?.outcome !== this.#open.at(-1)?.element || !test || !this.#isOfTest()) return;
    test.details += text.slice(0, Math.max(0, longestText.collected - test.details.length));
  }

  #end(): void {
    const closed = this.#open.pop();
    const test = this.#test;
    if (!test || closed?.element !== "testcase") return;
    this.#test = undefined;
    const { report } = this;
    report.tests++;
    report.seconds += test.seconds;
    const { outcome, ...failed } = test;
    if (outcome === "skipped") report.skipped++;
    if (outcome === "failure") report.failures++;
    if (outcome === "error") report.errors++;
    if ((outcome === "failure" || outcome === "error") && report.failed.length < mostKept)
      report.failed.push(failed);
  }

  #suite(): string {
    return this.#open
      .map(({ name }) => name)
      .filter((name) => name !== "")
      .join(" › ");
  }
}
