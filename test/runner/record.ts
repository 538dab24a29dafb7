/** A reporter of node's test runner that writes a line of JSON for each test, as {@link TestRecord}. */
import { relative } from "node:path";
import type { EventData } from "node:test";
import { packageRoot } from "../../os/files/package.ts";
import type { TestRecord } from "./slowest.ts";

interface TestEvent {
  type: string;
  data: EventData.TestPass | EventData.TestFail;
}

export default async function* record(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const { type, data } of events) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    if (data.details.type === "suite") continue;
    const line: TestRecord = {
      name: data.name,
      file: data.file === undefined ? "" : relative(packageRoot, data.file),
      seconds: data.details.duration_ms / 1000,
      outcome: outcomeOf(type, data),
      ...(typeof data.skip === "string" && { why: data.skip }),
    };
    yield `${JSON.stringify(line)}\n`;
  }
}

function outcomeOf(type: string, { skip, todo }: TestEvent["data"]): TestRecord["outcome"] {
  // An empty reason is a reason, too.
  if (skip !== undefined && skip !== false) return "skipped";
  if (todo !== undefined && todo !== false) return "todo";
  return type === "test:pass" ? "passed" : "failed";
}
