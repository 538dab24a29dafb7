/** A running agent's status pages, asked for by curl and over plain sockets. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { run } from "../../../os/run.ts";
import { parseMetrics, type Scraped } from "../../fixtures/prometheus.ts";
import { FakeController } from "../fake-controller.ts";
import { AgentHome, resultText, task } from "../running-agent.ts";
import { patienceMs, patienceSeconds } from "../../fixtures/patience.ts";

interface Answer {
  status: number;
  headers: string;
  body: string;
}

/** The pages of an agent, once it has said where they are. */
class Pages {
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  static of({ child }: ReturnType<AgentHome["start"]>): Promise<Pages> {
    return new Promise((resolve, reject) => {
      let said = "";
      child.stderr!.on("data", (chunk: Buffer) => {
        said += chunk.toString();
        const url = /status pages .*?(http:[^"]+)"/.exec(said)?.[1];
        if (url !== undefined) resolve(new Pages(url));
      });
      child.once("close", () => reject(new Error(`no status pages: ${said}`)));
    });
  }

  async ask(path: string, ...args: string[]): Promise<Answer> {
    const { stdout } = await run(["curl", "-sS", "-i", ...args, `${this.url}${path}`], {
      timeoutSeconds: 300,
    });
    const end = stdout.indexOf("\r\n\r\n");
    const headers = stdout.slice(0, end);
    return { status: Number(headers.split(" ")[1]), headers, body: stdout.slice(end + 4) };
  }

  async metrics(): Promise<Scraped> {
    const { headers, body } = await this.ask("/metrics");
    assert.match(headers, /content-type: text\/plain; version=0\.0\.4/i);
    return parseMetrics(body);
  }

  /** Asks again until it is so. */
  async until(
    what: string,
    isSo: (metrics: Scraped) => boolean,
    seconds = patienceSeconds,
  ): Promise<Scraped> {
    const deadline = AbortSignal.timeout(seconds * 1000);
    for (;;) {
      const metrics = await this.metrics();
      if (isSo(metrics)) return metrics;
      if (deadline.aborted)
        assert.fail(`not within ${seconds} s: ${what}\n${(await this.ask("/status")).body}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function stop(agent: ReturnType<AgentHome["start"]>): Promise<void> {
  agent.child.kill("SIGTERM");
  const { status, stderr } = await agent.ended;
  assert.equal(status, 0, stderr);
}

test("an agent tells what it does: idle, building, after results that were accepted and rejected", async () => {
  await using home = await AgentHome.make();
  await using controller = await FakeController.start();
  const responses: string[] = [];
  const results = [200, 410];
  controller.answer = ({ path }) =>
    path.startsWith("/task")
      ? { body: responses.shift() ?? ": 1\nsession:\n" }
      : { status: results.shift() ?? 500, body: "so it is\n" };
  const secret = `${controller.url("/task")}?token=s3cr3t`;
  const agent = home.start(["--status-listen", "127.0.0.1:0", secret]);
  const pages = await Pages.of(agent);
  const labels = { controller: controller.url("/task") };
  const idle = await pages.until("idle", (m) => m.value("croft_agent_phase", { phase: "idle" }) === 1);
  assert.equal(idle.value("croft_agent_machines", { state: "ready" }), 1);
  assert.equal(idle.value("croft_agent_spool_entries", { state: "waiting" }), 0);
  assert.ok(
    idle.value("croft_agent_last_successful_poll_timestamp_seconds", labels) > Date.now() / 1000 - 60,
  );
  assert.ok(idle.value("croft_agent_phase_duration_seconds_count", { phase: "enumerating" }) >= 1);
  assert.equal((await pages.ask("/healthz")).body, "ok\n");

  const give = (session: string) =>
    responses.push(`: 1\nsession: ${session}\nresult-url: ${controller.url("/result")}\n:\n${task}`);
  give("s3cr3t-1");
  await home.readTask();
  const building = await pages.until(
    "building",
    (m) => m.value("croft_agent_phase", { phase: "building" }) === 1,
  );
  assert.equal(building.value("croft_agent_machines", { state: "building" }), 1);
  assert.equal(building.value("croft_agent_machines", { state: "ready" }), 0);
  const { body } = await pages.ask("/status");
  const report = JSON.parse(body) as {
    now: Record<string, unknown>;
    machines: unknown[];
    controllers: { url: string; errors: number }[];
    health: unknown;
  };
  assert.match(String(report.now["text"]), /^building hello\/1\.0 on m for controller http:\S+\/task, \d+s$/);
  assert.deepEqual(
    [report.now["phase"], report.now["machine"], report.now["task"], report.now["controller"]],
    ["building", "m", "hello/1.0", labels.controller],
  );
  assert.deepEqual(report.machines, [{ name: "m", volume: "fake", state: "building" }]);
  assert.deepEqual(report.health, { healthy: true });
  assert.doesNotMatch(body + JSON.stringify(building.samples), /s3cr3t/);

  await home.upload(resultText());
  const built = await pages.until(
    "built",
    // The phase ends after the delivery is counted.
    (m) =>
      m.value("croft_agent_deliveries_total", { outcome: "accepted" }) === 1 &&
      m.count("croft_agent_phase_duration_seconds_count", { phase: "delivering" }) >= 1,
  );
  assert.equal(built.value("croft_agent_builds_total", { status: "success" }), 1);
  assert.equal(built.value("croft_agent_builds_total", { status: "error" }), 0);
  for (const phase of ["booting", "building", "extracting", "recording"])
    assert.equal(built.value("croft_agent_phase_duration_seconds_count", { phase }), 1, phase);

  give("s3cr3t-2");
  await home.upload(resultText("error"));
  const rejected = await pages.until(
    "rejected",
    // It is counted after the entry has been moved aside, and the spool is measured now and then only.
    (m) =>
      m.value("croft_agent_spool_entries", { state: "rejected" }) === 1 &&
      m.value("croft_agent_deliveries_total", { outcome: "rejected" }) === 1,
  );
  assert.equal(rejected.value("croft_agent_builds_total", { status: "error" }), 1);
  assert.ok(rejected.value("croft_agent_spool_bytes", { state: "rejected" }) > 100);
  await stop(agent);
  await assert.rejects(pages.ask("/healthz"), /exit status 7/); // nobody listens any more
});

test("controllers that fail are counted, each for itself, and so are faults of the farm", async () => {
  await using home = await AgentHome.make();
  await using bad = await FakeController.start();
  bad.answer = () => ({ body: "<html>a proxy's page</html>" });
  const down = "http://127.0.0.1:1/task";
  const agent = home.start([
    "--request-retries",
    "0",
    "--status-listen",
    "127.0.0.1:0",
    down,
    bad.url("/task"),
  ]);
  const pages = await Pages.of(agent);
  const errors = (metrics: Scraped, controller: string) =>
    metrics.value("croft_agent_poll_errors_total", { controller });
  await pages.until("errors of both", (m) => errors(m, down) >= 2 && errors(m, bad.url("/task")) >= 2);
  const { controllers } = JSON.parse((await pages.ask("/status")).body) as {
    controllers: { url: string; lastError: string; pausedUntil?: string; lastSuccess?: string }[];
  };
  assert.match(controllers[0]!.lastError, /refused/i);
  assert.ok(controllers[0]!.pausedUntil, "left alone for a while");
  assert.equal(controllers[0]!.lastSuccess, undefined);
  assert.equal(controllers[1]!.pausedUntil, undefined);
  assert.equal((await pages.ask("/healthz")).status, 200, "not the agent's fault");

  writeFileSync(home.at("machine.manifest"), "broken");
  const faulty = await pages.until("a fault", (m) => m.value("croft_agent_faults_total") >= 1);
  assert.equal(faulty.value("croft_agent_healthy"), 1, "a fault of a moment is no state");
  const { fault } = JSON.parse((await pages.ask("/status")).body) as { fault: { reason: string } };
  assert.match(fault.reason, /machine\.manifest/);
  await stop(agent);
});

test("only GET and HEAD of known pages are answered", async () => {
  await using home = await AgentHome.make();
  const agent = home.start(["--status-listen", "127.0.0.1:0", "http://127.0.0.1:1/"]);
  const pages = await Pages.of(agent);
  const head = await pages.ask("/status", "--head");
  assert.deepEqual([head.status, head.body], [200, ""]);
  assert.equal((await pages.ask("/status?x=y")).status, 200);
  for (const path of ["/", "/status/", "//status", "/metrics/x", "/%2e%2e/etc/passwd"])
    assert.equal((await pages.ask(path, "--path-as-is")).status, 404, path);
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"]) {
    const refused = await pages.ask(
      "/status",
      "-X",
      method,
      ...(method === "POST" ? ["-d", "x".repeat(1000)] : []),
    );
    assert.equal(refused.status, 405, method);
    assert.match(refused.headers, /allow: GET, HEAD/i);
  }
  const huge = await pages.ask("/healthz", "-H", `x-huge: ${"x".repeat(20_000)}`);
  assert.equal(huge.status, 431);
  await stop(agent);
});

test("those who connect and say nothing, or read nothing, are let go, and others are served meanwhile", async () => {
  await using home = await AgentHome.make();
  const agent = home.start(["--status-listen", "127.0.0.1:0", "http://127.0.0.1:1/"]);
  const pages = await Pages.of(agent);
  const { hostname: host, port } = new URL(pages.url);
  const sockets = Array.from({ length: 200 }, (_, index) => {
    const socket = connect(Number(port), host);
    socket.on("error", () => {});
    if (index % 2 === 0) socket.write("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    return socket.pause();
  });
  const closed = Promise.all(
    sockets.map((socket) => new Promise((resolve) => socket.resume().once("close", resolve))),
  );
  assert.equal((await pages.ask("/healthz")).status, 200);
  const deadline = AbortSignal.timeout(patienceMs);
  await Promise.race([closed, once(deadline, "abort").then(() => assert.fail("they were not let go"))]);
  assert.equal((await pages.ask("/healthz")).status, 200);
  await stop(agent);
});

/** Asks as another user, or as what looks like the machine of an instance. */
async function statusFor(argv: readonly string[], input?: string): Promise<string> {
  const { stdout } = await run(argv, { timeoutSeconds: 300, ...(input === undefined ? {} : { input }) });
  return stdout.trim();
}

test("machines get no page, whoever their user is; other users of the host do", async () => {
  await using home = await AgentHome.make();
  const agent = home.start(["--status-listen", "127.0.0.1:0", "http://127.0.0.1:1/task"]);
  const { url } = await Pages.of(agent);
  const curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", `${url}/status`];
  if (process.getuid?.() === 0)
    for (const [user, wanted] of [
      [70_001, "403"], // its own machine, another instance's, the last one's
      [70_002, "403"],
      [79_899, "403"],
      [70_000, "200"],
      [65_534, "200"],
    ] as const) {
      const as = ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups", "--"];
      assert.equal(await statusFor([...as, ...curl]), wanted, `user ${user}`);
    }
  const runtime = home.at("runtime", "default-7");
  mkdirSync(runtime);
  // Of an agent that is not root: known by the pid file, and by its own command line.
  const code = `
    require("node:fs").writeFileSync(${JSON.stringify(`${runtime}/qemu.pid`)}, String(process.pid));
    fetch(${JSON.stringify(`${url}/status`)}).then(({ status }) => console.log(status));`;
  const asMachine = (mark: string) => [process.execPath, "-", "-add-fd", `fd=3,set=0,opaque=${mark}`];
  assert.equal(await statusFor(asMachine(runtime), code), "403");
  assert.equal(await statusFor(asMachine("/nowhere"), code), "200");
  await stop(agent);
});

test("an address that is not to be had is one clear error, and the agent does not start", async () => {
  await using home = await AgentHome.make();
  mkdirSync(home.at("spool"));
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as AddressInfo;
  for (const [listen, reason] of [
    [`127.0.0.1:${port}`, /listen on 127\.0\.0\.1:\d+ for --status-listen: the address is in use/],
    ["192.0.2.1:9401", /listen on 192\.0\.2\.1:9401 for --status-listen: .*EADDRNOTAVAIL/],
  ] as const) {
    const { status, stderr } = await home.start(["--status-listen", listen, "http://127.0.0.1:1/"]).ended;
    assert.equal(status, 1);
    assert.match(stderr, reason);
    assert.equal(stderr.split("\n").filter((line) => /Cannot/.test(line)).length, 1, stderr);
  }
  await new Promise((resolve) => taken.close(resolve));
});
