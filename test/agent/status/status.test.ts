import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { silentLog } from "../../../os/log.ts";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { Enumeration } from "../../../machines/enumeration/enumeration.ts";
import { fakeEnumeration } from "../../../machines/enumeration/fake-machine.ts";
import { machinePaths } from "../../../machines/layout.ts";
import { activityText, describePhase, phases, type Activity } from "../../../agent/status/activity.ts";
import { healthOf } from "../../../agent/status/health.ts";
import { withoutSecrets } from "../../../os/network/url.ts";
import { MachineView, machineStates } from "../../../agent/status/machine-view.ts";
import { AgentMetrics } from "../../../agent/status/metrics.ts";
import type { Settings } from "../../../agent/settings/settings.ts";
import { makeSettings } from "../settings/make-settings.ts";
import { SpoolMeter } from "../../../agent/task-state/spool-size.ts";
import { Status } from "../../../agent/status/status.ts";
import { formatDuration } from "../../../os/text/duration.ts";
import { parseMetrics } from "../../fixtures/prometheus.ts";
import { header } from "../running-agent.ts";

const url = "https://user:secret@farm.example:8420/agent/task?token=secret";
const settings = makeSettings({ runtime: "/nonexistent/run" }, [`0100=${url}`]);
const subject = { machine: "debian_12", task: "hello/1.0", controller: url, session: "secret" };

function metricsOf(status: Status, of: Settings = settings): AgentMetrics {
  return new AgentMetrics(of, status, new SpoolMeter("/nonexistent/spool"));
}

test("the status says what is done, on what, for whom and for how long, and nothing secret", () => {
  assert.equal(
    activityText({ phase: "building", ...subject }, 192.7),
    "building hello/1.0 on debian_12 for controller https://farm.example:8420/agent/task, 3m12s",
  );
  assert.equal(activityText({ phase: "bootstrapping", machine: "m" }, 1), "bootstrapping m, 1s");
  assert.equal(activityText({ phase: "idle", reason: "waiting for a task" }, 40), "waiting for a task");
  for (const phase of phases) {
    const text = activityText({ phase, ...subject, reason: "because" }, 5);
    assert.doesNotMatch(text, /secret|undefined/, phase);
    assert.doesNotMatch(activityText({ phase }, 5), /undefined/, phase);
  }
});

test("how long a fault has lasted is told by a clock that nobody sets", (t) => {
  using status = new Status(silentLog(), false);
  status.failed("no room");
  const day = 24 * 3600 * 1000;
  const [now, date] = [performance.now(), Date.now()];
  t.mock.timers.enable({ apis: ["Date"], now: date + day });
  assert.deepEqual(healthOf(status, settings), { healthy: true });
  t.mock.timers.setTime(date - day);
  const clock = t.mock.method(performance, "now", () => now + 61_000);
  assert.deepEqual(healthOf(status, settings), { healthy: false, reason: "faults since 1m01s: no room" });
  clock.mock.restore();
});

test("durations are read at a glance", () => {
  assert.deepEqual([0, 59.9, 60, 192, 3600, 7380].map(formatDuration), [
    "0s",
    "59s",
    "1m00s",
    "3m12s",
    "1h00m",
    "2h03m",
  ]);
});

test("a URL is shown without user and password, and of its query only what is no secret", () => {
  assert.equal(withoutSecrets(url), "https://farm.example:8420/agent/task?token=***");
  assert.equal(withoutSecrets("https://c/?build-result"), "https://c/?build-result");
  assert.equal(withoutSecrets("https://c/?upload=bindist&page=2"), "https://c/?upload=bindist&page=2");
  assert.equal(withoutSecrets("https://c/?a3F9&x=Zm9v&secret=word"), "https://c/?***&x=***&secret=***");
  assert.equal(withoutSecrets("file task.manifest"), "file task.manifest");
});

test("each phase that ends is measured; details alone begin no new one", () => {
  const status = new Status(silentLog(), false);
  const ended: string[] = [];
  status.onPhaseEnd((phase, seconds) => (assert.ok(seconds >= 0), ended.push(phase)));
  status.set("booting", subject);
  const { since } = status;
  status.set("booting", { ...subject, reason: "again" });
  assert.equal(status.since, since);
  status.advance("building");
  assert.deepEqual(status.activity, { phase: "building", ...subject });
  status.set("idle");
  assert.deepEqual(status.activity, { phase: "idle" });
  assert.deepEqual(ended, ["starting", "booting", "building"]);
});

test("an agent is unhealthy once a phase takes longer than it ever should", () => {
  for (const phase of phases) {
    const limit = describePhase(phase).limitSeconds?.(settings);
    const at = (seconds: number) =>
      healthOf({ activity: { phase } as Activity, seconds, fault: undefined }, settings);
    assert.equal(at(0).healthy, true, phase);
    assert.equal(at(1e9).healthy, limit === undefined, phase);
    if (limit === undefined) continue;
    assert.equal(at(limit - 1).healthy, true, phase);
    assert.match(JSON.stringify(at(limit + 1)), /stuck since/, phase);
  }
  assert.ok(describePhase("building").limitSeconds!(settings) > settings.buildTimeoutSeconds);
  assert.equal(
    describePhase("suspended").limitSeconds,
    undefined,
    "held for the operator, as long as it takes",
  );
});

test("an agent is unhealthy while faults of the farm keep it from working, from the second minute on", () => {
  const status = new Status(silentLog(), false);
  status.set("pausing", { reason: "no space" });
  status.failed("no space");
  assert.deepEqual(healthOf(status, settings), { healthy: true });
  status.failed("no QEMU");
  assert.equal(status.fault!.count, 2);
  assert.deepEqual(healthOf(status, settings, performance.now() + 61_000), {
    healthy: false,
    reason: "faults since 1m01s: no QEMU",
  });
  // A build takes longer than a minute, and one that runs shows that the fault is over.
  for (const phase of ["bootstrapping", "building", "suspended"] as const) {
    status.set(phase);
    assert.deepEqual(healthOf(status, settings, performance.now() + 61_000), { healthy: true }, phase);
  }
  status.set("pausing");
  assert.equal(healthOf(status, settings, performance.now() + 61_000).healthy, false);
  status.worked();
  assert.deepEqual(healthOf(status, settings, performance.now() + 61_000), { healthy: true });
});

test("machines are counted by state; what this instance does with one counts from the moment it begins", async () => {
  const view = new MachineView();
  await using enumeration = new Enumeration();
  for (const [name, holder] of [
    ["a", { pid: 7, priority: 100 }],
    ["b", { pid: 8 }],
    ["c", {}],
  ] as const)
    enumeration.add({
      state: "held",
      paths: machinePaths("/nonexistent", "v", name, "default"),
      holder,
      manifest: undefined,
    });
  await using directory = await temporaryDirectory("croft-test-status-");
  const manifest = join(directory.path, "manifest");
  writeFileSync(manifest, header);
  await using own = fakeEnumeration(manifest, { name: "default", id: "" });
  for (const machine of own.machines) enumeration.add(machine);
  view.take(enumeration);
  const counted = (activity: Activity) =>
    Object.entries(view.count(activity))
      .filter(([, count]) => count > 0)
      .map(([state, count]) => `${state} ${count}`);
  assert.deepEqual(counted({ phase: "idle" }), ["ready 1", "building 1", "held 2"]);
  assert.deepEqual(counted({ phase: "booting", machine: "m" }), ["bootstrapping 1", "building 1", "held 2"]);
  assert.deepEqual(counted({ phase: "building", machine: "m", task: "t" }), ["building 2", "held 2"]);
  assert.deepEqual(counted({ phase: "suspended", machine: "m" }), ["building 1", "suspended 1", "held 2"]);
  assert.deepEqual(counted({ phase: "delivering", machine: "m" }), ["ready 1", "building 1", "held 2"]);
  assert.deepEqual(view.list({ phase: "idle" })[0], {
    name: "a",
    volume: "v",
    state: "building",
    holder: 7,
    priority: 100,
  });
});

test("asking controllers is counted by controller, and no secret gets into a label or a reason", async () => {
  const metrics = metricsOf(new Status(silentLog(), false));
  const labels = { controller: "https://farm.example:8420/agent/task" };
  const last = "croft_agent_last_successful_poll_timestamp_seconds";
  const scrape = async () => parseMetrics(await metrics.registry.format());
  assert.equal((await scrape()).value(last, labels), 0);
  metrics.pollFailed(url, `Cannot reach ${url}: no`, 4);
  assert.ok(metrics.controllers.get(url)!.pausedUntil! > new Date());
  metrics.pollAnswered(url);
  const scraped = await scrape();
  assert.equal(scraped.value("croft_agent_polls_total", labels), 2);
  assert.equal(scraped.value("croft_agent_poll_errors_total", labels), 1);
  assert.ok(scraped.value(last, labels) > Date.now() / 1000 - 60);
  const state = metrics.controllers.get(url)!;
  assert.equal(state.pausedUntil, undefined);
  assert.doesNotMatch(JSON.stringify(state) + (await metrics.registry.format()), /secret/);
});

test("after a reload the controllers of the new settings are shown, with what is known of them", async () => {
  const metrics = metricsOf(new Status(silentLog(), false));
  metrics.pollAnswered(url);
  metrics.useSettings(makeSettings({ runtime: "/nonexistent/run" }, ["http://other.example/"]));
  assert.deepEqual([...metrics.controllers.keys()], ["http://other.example/"]);
  const { samples } = parseMetrics(await metrics.registry.format());
  const shown = samples.filter(({ name }) => name.startsWith("croft_agent_last_successful_poll"));
  assert.deepEqual(
    shown.map(({ labels }) => labels["controller"]),
    ["http://other.example/"],
  );
});

test("every metric, every state and every phase stands in the manual, and the manual tells of no others", () => {
  const manual = readFileSync(packageFile("docs", "monitoring.md"), "utf8");
  const { descriptions } = metricsOf(new Status(silentLog(), false)).registry;
  const rows = [
    ...manual.matchAll(/^\| `((?:croft_agent|croft_task|process)_\w+)` \| (\w+) \| ([^|]*) \|/gm),
  ].map(([, name, type, labels]) => `${name} ${type} ${labels!.replaceAll("`", "").trim()}`);
  const expected = descriptions.map(({ name, type, labels }) =>
    `${name} ${type} ${labels.join(", ")}`.trimEnd(),
  );
  assert.deepEqual(rows.map((row) => row.trimEnd()).sort(), expected.sort());
  for (const word of [...phases, ...machineStates])
    assert.ok(manual.includes(`\`${word}\``), `'${word}' is not in docs/monitoring.md`);
});
