/** What the worker's script has in common with the rest, and cannot import: names of breakpoints, and limits. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readControllerConfiguration } from "../../controller/configuration.ts";
import {
  logChunkBytes,
  requestFiles,
  resultMaxBytes,
  resultRequestMaxBytes,
  resultValuesMax,
  shownValueMaxCharacters,
  taskRequestMaxBytes,
  uploadEntriesMax,
} from "../../manifests/limits.ts";
import { breakpointProblem, taskEntries } from "../../manifests/task.ts";
import { formatTaskRequest } from "../../manifests/task-request.ts";
import { packageFile } from "../../os/files/package.ts";
import { MiB } from "../../os/text/size.ts";
import { task } from "../manifests/full.ts";
import { makeSettings } from "../agent/settings/make-settings.ts";

const parts = packageFile("worker", "guest", "parts");
const script = readdirSync(parts)
  .sort()
  .map((name) => readFileSync(join(parts, name), "utf8"))
  .join("");

function only(pattern: RegExp): string {
  const found = [...script.matchAll(pattern)];
  assert.equal(found.length, 1, `${pattern} is there ${found.length} times`);
  return found[0]![1]!;
}

const operations = ["fetch", ...only(/^ *for operation in (.*); do perform /gm).split(" ")];

test("the worker knows the breakpoints that may be submitted, no more and no fewer, and names them all", () => {
  const submitted = breakpointProblem("nowhere")!
    .replace(/.*there are /, "")
    .split(", ")
    .sort();
  const known = only(/case \$breakpoint in\n +\'\'\) ;;\n +([a-z |]+)\) heading/g).split(" | ");
  assert.deepEqual(known.sort(), submitted);
  assert.deepEqual(
    only(/no breakpoint '\$breakpoint'; there are: ([a-z ]+)"/g)
      .split(" ")
      .sort(),
    submitted,
  );
  for (const operation of operations) assert.ok(submitted.includes(operation), operation);
});

test("logs of all operations at their limit are a result that agents and controllers take", () => {
  const logBytes = Number(only(/^log_limit_kib=(\d+)/gm)) * 1024;
  const logs = operations.length + 1; // and that of the uploads
  // Notable lines of the middle come on top; to be quoted may double a log of quotes and backslashes.
  assert.ok(logs * logBytes * 4 < resultMaxBytes, `${logs} logs of ${logBytes} bytes`);
  assert.ok(logs * 3 < resultValuesMax);
});

test("the worker sends fewer files than an agent takes, with names that a file system takes", () => {
  assert.ok(Number(only(/^upload_limit=(\d+)/gm)) < uploadEntriesMax);
  assert.ok(Number(only(/^name_limit=(\d+)/gm)) <= 255);
});

test("what an agent takes of a machine, or sends by itself, its controller takes, too, as both are when nothing is said", () => {
  const agent = makeSettings({}, ["http://127.0.0.1:1/"]);
  const controller = readControllerConfiguration({});
  // The session, the signature of a large key, and what became of as many artifacts as there may be.
  const added = 10_000 + uploadEntriesMax * (Number(only(/^name_limit=(\d+)/gm)) + 40);
  assert.ok(resultMaxBytes + added <= resultRequestMaxBytes, `${added} bytes are added`);
  assert.ok(controller.resultLimitBytes >= resultRequestMaxBytes);
  assert.ok(controller.uploadLimitBytes >= agent.uploadMaxBytes, "one artifact may be all of an upload");
  assert.ok(requestFiles.sent <= requestFiles.taken);
  assert.ok(logChunkBytes.sent <= logChunkBytes.taken);
  assert.ok(Number(only(/^name_limit=(\d+)/gm)) <= shownValueMaxCharacters);
  assert.ok(controller.logLimitBytes <= agent.uploadMaxBytes);
  const machine = {
    id: `debian_12-1.2-${"x".repeat(12)}`,
    name: "debian_12-gcc_12",
    summary: "s".repeat(80),
  };
  const machines = Array.from({ length: 4_000 }, (_, at) => ({ ...machine, name: `${machine.name}-${at}` }));
  const request = formatTaskRequest({ agent: "h", toolchainName: "t", toolchainVersion: "1.0.0", machines });
  assert.ok(10 * request.length <= taskRequestMaxBytes, `${(request.length / MiB).toFixed(1)} MiB`);
});

test("of each value that a task has something becomes: the worker goes by it, or it is refused, or told", () => {
  const values = new Set(taskEntries(task).map(([name]) => name.replace(/^(auxiliary-[a-z]+)-.*/, "$1")));
  // `machine` is the agent's; the others are refused by it (agent/asking/polling.ts, agent/next-work.ts).
  const ofAgent = "machine auxiliary-machine tests examples benchmarks".split(" ");
  for (const name of ofAgent) assert.ok(values.delete(name), name);
  assert.ok(values.delete("auxiliary-environment"));
  assert.match(script, /< "\$task\/auxiliary-environment"/);
  // In the log of `fetch`.
  for (const name of ["requires", "host"]) assert.ok(values.delete(name), name);
  assert.match(script, /field requires\n.*is not looked at.*\n +field host\n.* != true \] \|\| echo/);
  const read = [...script.matchAll(/\b(?:field|read_words|is_same) ([a-z-]+)/g)].map(([, name]) => name);
  const inTurn = [...script.matchAll(/for name in ([a-z -]+); do/g)].flatMap(([, names]) =>
    names!.split(" "),
  );
  for (const name of values) assert.ok([...read, ...inTurn].includes(name), `nobody looks at '${name}'`);
});
