/**
 * Reports of tests among the artifacts of builds. They are read when they come, as only then it is known for certain what was secret in the
 * build; the files stay artifacts as they are.
 */
import { createReadStream } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import type { ReceivedFile } from "../builds/artifacts.ts";
import type { Sql } from "../database/database.ts";
import { maskedText, maskSecrets } from "../files/secret-mask.ts";
import { longestText, readJunit, type FailedTest, type JunitReport } from "./junit.ts";

/** The type of artifacts that reports are. */
export const reportType = "report";
/** Of one request, and of one attempt. */
const mostReports = 50;
/** Read at a time: between two of them other work is done. */
const pieceBytes = 32 << 10;
const mostShown = 500;
/** Of all reports of one request; what is beyond stays an artifact. */
const mostBytes = 32 << 20;

interface NamedReport extends JunitReport {
  name: string;
}

/** Reads those among the files, and hides what is secret in them. */
export async function readReports(
  files: readonly ReceivedFile[],
  secrets: readonly string[],
): Promise<NamedReport[]> {
  const reports: NamedReport[] = [];
  let bytes = 0;
  for (const { name, incoming } of files.filter((file) => /\.xml$/i.test(file.name)).slice(0, mostReports)) {
    bytes += incoming.bytes;
    if (bytes > mostBytes) break;
    const content = createReadStream(incoming.file, { highWaterMark: pieceBytes });
    const report = await readJunit(content);
    const { trouble } = report;
    reports.push({
      ...report,
      name: maskedText(name, secrets),
      failed: report.failed.map((test) => shown(test, secrets)),
      ...(trouble === undefined ? {} : { trouble: cut(trouble, secrets) }),
    });
  }
  return reports;
}

function shown(test: FailedTest, secrets: readonly string[]): FailedTest {
  const { suite, name, message, details } = test;
  return {
    ...test,
    ...{ suite: cut(suite, secrets), name: cut(name, secrets) },
    ...{ message: cut(message, secrets), details: cut(details, secrets) },
  };
}

/** As much as is shown, of what the database takes; without what may be the beginning of a secret at its end. */
function cut(text: string, secrets: readonly string[]): string {
  const bytes = Buffer.from(text);
  const open = maskSecrets(bytes, secrets);
  const plain = bytes.subarray(0, text.length >= longestText.collected ? bytes.length - open : bytes.length);
  return stripVTControlCharacters(plain.toString())
    .replace(/[\0-\x08\x0b-\x1f\x7f]/g, "")
    .trim()
    .slice(0, longestText.shown)
    .toWellFormed();
}

/** Writes down what reports of an attempt say, in place of what those of the same name said before. */
export async function noteReports(sql: Sql, session: number, reports: readonly NamedReport[]): Promise<void> {
  for (const report of reports) {
    const { name, tests, failures, errors, skipped, seconds, trouble, failed } = report;
    await sql.query("delete from croft.test_reports where session = $1 and name = $2", [session, name]);
    const [row] = await sql.query(
      `insert into croft.test_reports (session, name, tests, failures, errors, skipped, seconds, trouble)
       select $1, $2, $3, $4, $5, $6, $7, $8
       where (select count(*) from croft.test_reports where session = $1) < ${mostReports} returning name`,
      [session, name, tests, failures, errors, skipped, seconds, trouble ?? null],
    );
    if (!row || failed.length === 0) continue;
    await sql.query(
      `insert into croft.failed_tests (session, report, ordinal, suite, name, kind, message, details, seconds)
       select $1, $2, t.* from jsonb_to_recordset($3::jsonb) as t
         (ordinal integer, suite text, name text, kind text, message text, details text, seconds double precision)`,
      [session, name, JSON.stringify(failed.map((test, ordinal) => ({ ordinal, ...test })))],
    );
  }
}

/** A report of an attempt. */
interface ReportRow extends Omit<JunitReport, "failed" | "trouble"> {
  session: number;
  name: string;
  trouble: string | null;
}

interface FailedRow extends FailedTest {
  session: number;
  report: string;
}

/** What tests of a build said. */
export interface TestResults {
  reports: readonly ReportRow[];
  /** The first of those that failed. */
  failed: readonly FailedRow[];
}

/** Reads what tests of a build said, of all attempts. */
export async function testResultsOf(sql: Sql, build: number): Promise<TestResults> {
  const reports = await sql.query<ReportRow>(
    `select r.* from croft.test_reports r join croft.sessions s on s.id = r.session where s.build = $1
     order by r.session, r.name`,
    [build],
  );
  if (reports.length === 0) return { reports, failed: [] };
  const failed = await sql.query<FailedRow>(
    `select f.session, f.report, f.suite, f.name, f.kind, f.message, f.details, f.seconds from croft.failed_tests f join croft.sessions s on s.id = f.session where s.build = $1
     order by f.session desc, f.report, f.ordinal limit ${mostShown}`,
    [build],
  );
  return { reports, failed };
}

/** Those of one attempt, added up; undefined if there are none. */
export function testsOf({ reports, failed }: TestResults, session: number | undefined) {
  const own = reports.filter((report) => report.session === session);
  if (own.length === 0) return undefined;
  const sum = (key: "tests" | "failures" | "errors" | "skipped" | "seconds") =>
    own.reduce((total, report) => total + report[key], 0);
  return {
    ...{ tests: sum("tests"), failures: sum("failures"), errors: sum("errors") },
    ...{ skipped: sum("skipped"), seconds: sum("seconds"), reports: own },
    failed: failed.filter((one) => one.session === session),
  };
}

/** As JSON; null if there are none. */
export function testsJson(results: TestResults, session: number | undefined) {
  const all = testsOf(results, session);
  if (!all) return null;
  const withoutSession = <T extends { session: number }>({ session: _, ...rest }: T) => rest;
  return { ...all, reports: all.reports.map(withoutSession), failed: all.failed.map(withoutSession) };
}
