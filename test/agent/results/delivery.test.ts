/** What becomes of a result that a controller does not take, or something in front of it. */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Delivery } from "../../../agent/results/delivery.ts";
import { makeSettings } from "../settings/make-settings.ts";
import type { Assignment } from "../../../agent/task-state/assignment.ts";
import { Spool } from "../../../agent/task-state/spool.ts";
import { HttpClient } from "../../../agent/wire/http.ts";
import { requestFiles } from "../../../manifests/limits.ts";
import { formatResultRequest, parseResultRequest } from "../../../manifests/result-request.ts";
import { silentLog } from "../../../os/log.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { FakeController, type Reply } from "../fake-controller.ts";

const hour = 3600;
const never = new AbortController().signal;
const plain = { "content-type": "text/plain" };
const page = {
  headers: { "content-type": "text/html" },
  body: "<html><title>page not found</title></html>",
};
const result = {
  name: "hello",
  version: "1.0",
  status: "success" as const,
  operations: [{ name: "update", status: "success" as const, log: "built\n" }],
};

/** A spool with one result, and a controller that answers in a way. */
async function spooled(answer: Reply, assignment: Partial<Assignment> = {}) {
  const stack = new AsyncDisposableStack();
  const { path } = stack.use(await temporaryDirectory("croft-test-delivery-"));
  const controller = stack.use(await FakeController.start());
  controller.answer = () => answer;
  const spool = await Spool.open(join(path, "spool"));
  const url = controller.url("/result");
  const entry = await spool.begin({ session: "s", resultUrl: url, uploadUrls: {}, task: "", ...assignment });
  await entry.setResult(formatResultRequest({ session: "s", agentChecksum: "1", result }));
  const clock = { seconds: 1000 };
  const client = new HttpClient({ ...makeSettings({}, [url]), requestRetries: 0, agent: "test" });
  const shown: string[] = [];
  const signs = {
    show: ({ session }: { session: string }, phase: string) => void shown.push(`${session} ${phase}`),
    end: (session: string) => void shown.push(`${session} over`),
  };
  const open = () =>
    new Delivery({ client, spool, signs, log: silentLog(), now: () => clock.seconds * 1000 });
  return Object.assign(stack, { spool, entry, controller, clock, shown, open, delivery: open() });
}

type Spooled = Awaited<ReturnType<typeof spooled>>;

/** Lets the time go by in steps longer than any pause. */
async function tryFor(
  on: Spooled,
  seconds: number,
  stepSeconds = seconds > 24 * hour ? 5400 : 700,
): Promise<void> {
  for (const end = on.clock.seconds + seconds; on.clock.seconds < end; on.clock.seconds += stepSeconds)
    await on.delivery.sendDue(never);
}

async function where(on: Spooled): Promise<string> {
  const [name] = await readdir(on.spool.directory);
  return name === on.entry.name ? "spool" : (name ?? "accepted");
}

/** The last result that the controller was sent. */
function sent(on: Spooled) {
  const request = on.controller.received.findLast(({ path }) => path === "/result");
  return parseResultRequest(request!.body).result;
}

for (const [name, answer] of Object.entries<Reply>({
  "another time": { status: 429, body: "later", headers: plain },
  "a timeout": { status: 408, body: "too slow", headers: plain },
  "another connection": { status: 421, body: "not me", headers: plain },
  "too early": { status: 425, body: "early", headers: plain },
  "an error": { status: 503, body: "busy", headers: plain },
  "a proxy's 404": { status: 404, ...page },
  "a proxy's 403": { status: 403, ...page },
  "a proxy's 413": { status: 413, ...page },
  "an empty 404": { status: 404 },
  "a page with 200": { status: 200, ...page },
  "a refused key": { status: 401, body: "no such key", headers: plain },
}))
  test(`a result that is answered with ${name} stays in the spool, with its artifacts`, async () => {
    await using on = await spooled(answer);
    await mkdir(join(on.entry.uploads, "artifact"), { recursive: true });
    await on.delivery.sendDue(never);
    assert.equal(on.controller.received.length, 1);
    assert.equal(await where(on), "spool");
  });

for (const [status, headers] of [
  [400, plain],
  [404, { "content-type": "application/json; charset=utf-8" }],
  [410, { "content-type": "text/manifest" }],
] as const)
  test(`a result that the controller itself refuses with ${status} is kept aside with the answer`, async () => {
    await using on = await spooled({ status, body: "so it is\n", headers });
    await on.delivery.sendDue(never);
    assert.equal(await where(on), "rejected");
    const answer = join(on.spool.directory, "rejected", on.entry.name, "answer");
    assert.match(await readFile(answer, "utf8"), new RegExp(`^${status}\nso it is\n`));
  });

const long = {
  ...result,
  operations: [
    { name: "fetch", status: "success" as const, log: "fetched\n" },
    { name: "update", status: "success" as const, log: `first\n${"a line ü\n".repeat(300_000)}last\n` },
    { name: "test", status: "success" as const, log: "\u{1f600}".repeat(100_000) },
  ],
};

test("a result that is too large for its controller comes with its logs cut, which say so", async () => {
  await using on = await spooled({});
  await on.entry.setResult(formatResultRequest({ session: "s", agentChecksum: "1", result: long }));
  on.controller.answer = ({ body }) =>
    body.length > 1_200_000 ? { status: 413, body: "too large", headers: plain } : { status: 204 };
  await on.delivery.sendDue(never);
  assert.equal(await where(on), "accepted");
  assert.equal(on.controller.received.length, 2);
  const [fetched, update, tested] = sent(on).operations;
  assert.deepEqual(fetched, long.operations[0]);
  assert.match(
    update!.log,
    /^first\n(a line ü\n)+\[\.\.\. \d{7} bytes left out: the controller takes no larger result \.\.\.\]\n(a line ü\n)+last\n$/,
  );
  assert.match(tested!.log, /^(\u{1f600})+\n\[[^\n]*\]\n(\u{1f600})+$/u);
});

test("a result whose controller takes none, however short, is kept aside whole", async () => {
  await using on = await spooled({ status: 413, body: "too large", headers: plain });
  const request = formatResultRequest({ session: "s", agentChecksum: "1", result: long });
  await on.entry.setResult(request);
  await on.delivery.sendDue(never);
  assert.equal(await where(on), "rejected");
  const kept = await readdir(join(on.spool.directory, "rejected", on.entry.name));
  const whole = await Promise.all(
    kept.map((name) =>
      readFile(join(on.spool.directory, "rejected", on.entry.name, name)).catch(() => Buffer.alloc(0)),
    ),
  );
  assert.ok(whole.some((content) => content.equals(request)));
});

test("a result that is accepted leaves the spool; its controller is shown that it is on its way until then", async () => {
  await using on = await spooled({ status: 503 });
  await on.delivery.sendDue(never);
  assert.deepEqual([await where(on), on.shown], ["spool", ["s delivering"]]);
  on.controller.answer = () => ({ status: 204 });
  await on.delivery.send(on.entry, {});
  assert.deepEqual([await where(on), on.shown.at(-1)], ["accepted", "s over"]);
});

test("nothing is kept of a result that nobody waits for, but for what a controller does not know", async () => {
  for (const [state, kept] of [
    ["cancelled", "accepted"],
    ["superseded", "accepted"],
    ["finished", "rejected"],
    [undefined, "rejected"],
  ] as const) {
    const headers = { ...plain, ...(state === undefined ? {} : { "croft-session": state }) };
    await using on = await spooled({ status: 410, body: "gone\n", headers });
    await on.delivery.sendDue(never);
    assert.deepEqual([await where(on), on.shown.at(-1)], [kept, "s over"], state ?? "nothing");
  }
});

test("a result is sent for 7 days, less an hour; an hour later it is kept aside, and not sent any more", async () => {
  await using on = await spooled({ status: 404, ...page });
  await tryFor(on, (7 * 24 - 1) * hour);
  assert.equal(await where(on), "spool");
  await tryFor(on, 2 * hour, 5400);
  assert.equal(await where(on), "rejected");
  const { length } = on.controller.received;
  await tryFor(on, hour);
  assert.equal(on.controller.received.length, length);
});

test("what counts of the 7 days is the trying, over restarts, and neither the file's time nor a long sleep", async () => {
  await using on = await spooled({ status: 503 });
  await utimes(join(on.entry.directory, "result.manifest"), 0, 0);
  await tryFor(on, 4 * 24 * hour);
  on.delivery = on.open();
  await tryFor(on, 2.9 * 24 * hour);
  assert.equal(await where(on), "spool");
  await tryFor(on, 5 * hour, 5400);
  assert.equal(await where(on), "rejected");
  await using few = await spooled({ status: 503 });
  await tryFor(few, 40 * 24 * hour, 24 * hour);
  assert.equal(await where(few), "spool");
});

test("a key that is refused may be one that is being exchanged: for an hour", async () => {
  await using on = await spooled({ status: 401, body: "no such key", headers: plain });
  await tryFor(on, 0.9 * hour);
  assert.equal(await where(on), "spool");
  await tryFor(on, 0.5 * hour);
  assert.equal(await where(on), "rejected");
});

test("each entry has its own pauses; but of a controller that does not answer, only one is tried at a time", async () => {
  await using on = await spooled({ status: 404, ...page });
  const { spool, controller } = on;
  const second = await spool.begin({ ...on.entry.assignment, session: "t" });
  await second.setResult(Buffer.from(": 1\nsession: t\n"));
  controller.answer = ({ body }) =>
    body.includes("session: t") ? { status: 204 } : { status: 404, ...page };
  await on.delivery.sendDue(never);
  assert.deepEqual(await readdir(spool.directory), [on.entry.name]);
  const third = await spool.begin({ ...on.entry.assignment, session: "u" });
  await third.setResult(Buffer.from(": 1\nsession: u\n"));
  controller.answer = () => ({ hangUp: true });
  const { length } = controller.received;
  on.clock.seconds += 700;
  await on.delivery.sendDue(never);
  assert.equal(controller.received.length, length + 1);
});

/** A result with an artifact; the controller answers uploads in one way and results in another. */
async function withArtifact(
  upload: Reply,
  then: Reply = { status: 204 },
  form: "files" | "archives" = "files",
) {
  const on = await spooled(then, { uploadForm: form });
  Object.assign(on.entry.assignment.uploadUrls, { artifact: on.controller.url("/upload") });
  on.controller.answer = ({ path }) => (path === "/upload" ? upload : then);
  await writeFile(join(on.entry.directory, "assignment.json"), JSON.stringify(on.entry.assignment));
  await mkdir(join(on.entry.uploads, "artifact"), { recursive: true });
  await writeFile(join(on.entry.uploads, "artifact", "debian.tar.gz"), "content");
  return on;
}

test("an artifact that is refused leaves a success a warning, with the answer as the log of 'upload'", async () => {
  await using on = await withArtifact({ status: 400, body: "too large", headers: plain });
  await on.delivery.sendDue(never);
  assert.equal(await where(on), "accepted");
  const { status, operations } = sent(on);
  assert.equal(status, "warning");
  assert.deepEqual(operations.at(-1)?.status, "abort");
  assert.match(operations.at(-1)!.log, /answered 400\ntoo large/);
});

test("artifacts that a proxy does not let through hold back their result for an hour, and no longer", async () => {
  await using on = await withArtifact({ status: 404, ...page });
  await tryFor(on, 0.9 * hour);
  assert.equal(await where(on), "spool");
  assert.deepEqual(
    on.controller.received.filter(({ path }) => path === "/result"),
    [],
  );
  await tryFor(on, 0.5 * hour);
  assert.equal(await where(on), "accepted");
  assert.equal(sent(on).status, "warning");
  assert.match(sent(on).operations.at(-1)!.log, /1 artifacts could not be sent for an hour/);
});

test("after an outage of hours of all that a controller has, artifacts come, too", async () => {
  await using on = await withArtifact({ status: 502 }, { status: 502 });
  await tryFor(on, 5 * hour);
  assert.equal(await where(on), "spool");
  on.controller.answer = () => ({ status: 204 });
  await on.delivery.sendDue(never);
  assert.equal(await where(on), "accepted");
  assert.equal(on.controller.received.at(-2)!.path, "/upload");
  assert.deepEqual(sent(on), result);
});

test("many artifacts go in as many requests as their controller takes; what is there is not sent again", async () => {
  const { sent: most } = requestFiles;
  await using on = await withArtifact({ status: 204 });
  const directory = join(on.entry.uploads, "artifact");
  for (let file = 0; file < 2 * most; file++) await writeFile(join(directory, `file-${file}`), "x");
  const uploads = () => on.controller.received.filter(({ path }) => path === "/upload");
  on.controller.answer = ({ path }) => ({ status: path === "/upload" && uploads().length > 0 ? 503 : 204 });
  await on.delivery.sendDue(never);
  assert.equal((await readdir(directory)).length, most + 1);
  on.controller.answer = () => ({ status: 204 });
  await tryFor(on, 1500);
  assert.equal(await where(on), "accepted");
  const counts = uploads().map(({ body }) => body.toString().split("filename=").length - 1);
  assert.deepEqual(counts, [most, most, most, 1]);
  assert.equal(sent(on).status, "success");
  const told = on.controller.received.find(({ path }) => path === "/result")!.headers["croft-artifacts"];
  assert.equal(told, String(2 * most + 1), "how many were taken");
});

test("a controller that does not say it takes files gets one archive at a time, with its kind and digest", async () => {
  await using on = await withArtifact({ status: 200, body: ": 1\nstatus: 200\n" }, undefined, "archives");
  await writeFile(join(on.entry.uploads, "artifact", "archive.tar"), "another");
  await on.delivery.sendDue(never);
  const uploads = on.controller.received.filter(({ path }) => path === "/upload");
  const forms = await Promise.all(
    uploads.map(({ headers, body }) =>
      new Response(body, { headers: { "content-type": headers["content-type"]! } }).formData(),
    ),
  );
  assert.deepEqual(
    forms.map((form) => [form.get("session"), form.get("instance"), (form.get("archive") as File).name]),
    [
      ["s", "archive", "archive.tar"],
      ["s", "debian", "debian.tar.gz"],
    ],
  );
  assert.equal(
    forms[1]!.get("sha256sum"),
    "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73",
  );
  assert.equal(sent(on).status, "success");
});

test("artifacts of a type that the controller takes nowhere are told in the result", async () => {
  await using on = await spooled({ status: 204 });
  await mkdir(join(on.entry.uploads, "package"), { recursive: true });
  await writeFile(join(on.entry.uploads, "package", "a.deb"), "content");
  await on.delivery.sendDue(never);
  const { status, operations } = sent(on);
  assert.equal(status, "warning");
  assert.match(operations.at(-1)!.log, /takes no artifacts of type 'package'; not sent:\npackage\/a\.deb/);
});

test("of what was refused the newest stay, within bounds", async () => {
  await using on = await spooled({ status: 400, body: "no", headers: plain });
  for (let count = 0; count < 3; count++) {
    const more = await on.spool.begin(on.entry.assignment);
    await more.setResult(Buffer.from(`: 1\nsession: ${count}\n`));
  }
  await on.delivery.sendDue(never);
  const rejected = join(on.spool.directory, "rejected");
  const all = (await readdir(rejected)).sort();
  assert.equal(all.length, 4);
  assert.deepEqual(await on.spool.boundRejected({ entries: 2, bytes: 1e9 }), all.slice(0, 2).reverse());
  assert.deepEqual(await on.spool.boundRejected({ entries: 9, bytes: 1 }), [all[2]]);
  assert.deepEqual(await readdir(rejected), [all[3]]);
});
