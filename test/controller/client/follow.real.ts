/** Following a build: server-sent events that go on where they broke off, and the command line on top of them. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { readEvents, type ServerEvent } from "../../../controller/client/event-reader.ts";
import { packageFile } from "../../../os/files/package.ts";
import { makeFarm, requestTask, sendLog, sendResult, submit, type Farm } from "../farm.ts";
import { until } from "../until.ts";

describe("a build that is followed", () => {
  let farm: Farm;
  let url: string;
  before(async () => {
    farm = await makeFarm();
    url = (await farm.start()).url;
  });
  after(() => farm[Symbol.asyncDispose]());

  /** Reads events until one satisfies the condition. */
  async function follow(id: number, last: (event: ServerEvent) => boolean, lastEventId?: string) {
    const abort = new AbortController();
    const headers = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
    const response = await fetch(`${url}/api/v1/builds/${id}/events`, { headers, signal: abort.signal });
    assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
    const events: ServerEvent[] = [];
    for await (const event of readEvents(response.body!)) {
      events.push(event);
      if (last(event)) break;
    }
    abort.abort();
    return events;
  }

  const textOf = (events: readonly ServerEvent[]) =>
    events
      .filter(({ event }) => event === "log")
      .map(({ data }) => (JSON.parse(data) as { text: string }).text)
      .join("");

  test("tells its states and its log as it grows, and resumes after the last event seen", async () => {
    const id = await submit(url);
    const queued = await follow(id, () => true);
    assert.match(queued[0]!.data, /"state":"queued"/);
    const task = await requestTask(url);
    const text = Buffer.from("one\ntwo ünf");
    await sendLog(task, 0, text.subarray(0, 9)); // in the middle of the ü
    const seen = await follow(id, ({ event }) => event === "log");
    assert.equal(textOf(seen), "one\ntwo ");
    const resumed = follow(id, ({ event }) => event === "end", seen.at(-1)!.id);
    await sendLog(task, 9, text.subarray(9));
    await sendLog(task, text.length, " three\n");
    await sendResult(task, "success");
    const rest = await resumed;
    assert.equal(textOf(rest), "ünf three\n");
    assert.match(rest.at(-1)!.data, /"status":"success"/);
  });

  test("is watched by `croft submit --follow`, which ends with the build's status", async () => {
    const outcome = command(
      ...["submit", "https://example.org/tool.git", "--branch", "v1@a", "--commit", "12ab", "--follow"],
      ...["--interactive", "test"],
    );
    const ask = () => requestTask(url, { interactiveMode: "both", interactiveLogin: "here" });
    let task = await ask();
    await until(async () => (task = task.session === "" ? await ask() : task).session !== "", "a task");
    assert.equal(task.task?.name, "tool");
    assert.equal(task.task?.repositoryUrl, "https://example.org/tool.git#v1@a@12ab");
    assert.equal(task.task?.interactive, "test");
    await sendLog(task, 0, "\u001b[31mred\u001b[0m \u001b]0;title\u0007fine\n");
    await sendResult(task, "error", [["update", "error", "x\n"]]);
    const { status, stdout } = await outcome;
    assert.equal(status, 3);
    assert.match(stdout, /^build \d+, tool for default: http/);
    assert.match(
      stdout,
      /\n==> attempt 1 on debian_13 at host-1\nred fine\n==> build \d+, tool\/1\.2\.3 for default: error/,
    );
  });

  test("that waits says why as long as it is followed", async () => {
    let said = "";
    const outcome = command("submit", "https://x.org/y.git", "--machine", "vax*", "--wait", (text) => {
      said += text;
    });
    await until(() => Promise.resolve(said.includes(" waits: ")), "the reason");
    assert.match(said, /^croft: build \d+ waits: no agent (offers a machine 'vax\*'|asks)/m);
    const id = /^build (\d+)/m.exec(said)![1]!;
    assert.equal((await command("cancel", id)).status, 0);
    assert.equal((await outcome).status, 3);
  });

  test("keeps being watched while its controller is replaced", async () => {
    await using other = await makeFarm();
    await using first = await other.start();
    const id = await submit(first.url);
    const task = await requestTask(first.url);
    await sendLog(task, 0, "before\n");
    let seen = "";
    const outcome = command(
      "log",
      String(id),
      "--follow",
      "--controller",
      first.url,
      (text) => (seen += text),
    );
    await until(async () => seen.includes("before"), "the log");
    await first.end("SIGKILL");
    await using second = await other.start("--listen", new URL(first.url).host);
    assert.equal(second.url, first.url);
    await sendLog(task, 7, "after\n");
    await sendResult(task, "warning");
    const { status, stdout } = await outcome;
    assert.equal(status, 0);
    assert.match(stdout, /attempt 1 .*\nbefore\nafter\n==> build .*: warning/);
    assert.equal(stdout.split("before").length, 2, "nothing is told twice");
  });

  test("a log goes into a file byte by byte, and ends quietly with whoever read enough of it", async () => {
    const id = await submit(url);
    const task = await requestTask(url);
    const bytes = Buffer.concat([
      Buffer.from([0xef, 0xbb, 0xbf, 0xff, 0x1b]),
      Buffer.alloc(3_000_000, "x\n"),
    ]);
    await sendLog(task, 0, bytes);
    await sendResult(task, "success");
    const argv = [packageFile("bin", "main.ts"), "log", String(id), "--controller", url];
    const whole = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
    const pieces: Buffer[] = [];
    for await (const piece of whole.stdout) pieces.push(piece as Buffer);
    assert.ok(Buffer.concat(pieces).equals(bytes));
    const left = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    left.stderr.on("data", (piece: Buffer) => (said += piece.toString()));
    left.stdout.once("data", () => left.stdout.destroy());
    assert.deepEqual(await once(left, "close"), [0, null]);
    assert.equal(said, "");
  });

  test("one clear line for what cannot be", async () => {
    const unknown = await command("log", "999");
    assert.equal(unknown.status, 1);
    assert.match(unknown.stderr, /^croft: Cannot ask http:\S+: there is no build 999\n$/);
    const nobody = await command("builds", "--controller", "http://127.0.0.1:1");
    assert.equal(nobody.status, 1);
    assert.match(
      nobody.stderr,
      /^croft: Cannot reach the controller at http:\/\/127\.0\.0\.1:1: connection refused\n/,
    );
    const usage = await command("log", "x");
    assert.equal(usage.status, 2);
    const bad = await command("builds", "--controller", "ftp://x");
    assert.equal(bad.status, 2);
    const local = await command("submit", "--repository", "/srv/x.git");
    assert.equal(local.status, 1);
    assert.match(local.stderr, /is local/);
    const target = await command("submit", "--repository", "https://x.org/y.git", "--target", "vax");
    assert.match(target.stderr, /there is no target 'vax'\n {2}Targets: default\n/);
    const unknownTarget = await command("builds", "--target", "nonsense");
    assert.equal(unknownTarget.status, 1);
    assert.match(
      unknownTarget.stderr,
      /^croft: Cannot list builds: there is no target 'nonsense'\n {2}Targets: default\n$/,
    );
    const wrongBreakpoint = await command("submit", "https://x.org/y.git", "--interactive", "tests");
    assert.equal(wrongBreakpoint.status, 1);
    assert.match(
      wrongBreakpoint.stderr,
      /'tests' is no breakpoint: there are fetch, configure, update, test,/,
    );
    const twice = await command("submit", "https://x.org/y.git#main", "--branch", "other");
    assert.equal(twice.status, 2);
    assert.match(twice.stderr, /names its branch already/);
    const listed = await command("builds", "--json", "--state", "finished");
    assert.ok(Array.isArray((JSON.parse(listed.stdout) as { builds: unknown[] }).builds));
  });

  type Outcome = { status: number | null; stdout: string; stderr: string };

  /** Runs `croft` against the controller; a function among the arguments gets what it prints, and says. */
  async function command(...args: (string | ((text: string) => void))[]): Promise<Outcome> {
    const listener = args.find((argument) => typeof argument === "function");
    const argv = args.filter((argument) => typeof argument === "string");
    const env = { ...process.env, CROFT_CONTROLLER: url };
    const child = spawn(process.execPath, [packageFile("bin", "main.ts"), ...argv], { env });
    const outcome: Outcome = { status: null, stdout: "", stderr: "" };
    child.stdout.on("data", (piece: Buffer) => {
      outcome.stdout += piece.toString();
      listener?.(piece.toString());
    });
    child.stderr.on("data", (piece: Buffer) => {
      outcome.stderr += piece.toString();
      listener?.(piece.toString());
    });
    [outcome.status] = (await once(child, "close")) as [number | null];
    return outcome;
  }
});
