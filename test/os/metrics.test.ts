import assert from "node:assert/strict";
import { test } from "node:test";
import { addProcessMetrics, MetricRegistry } from "../../os/metrics.ts";
import { parseMetrics } from "../fixtures/prometheus.ts";

test("counters and gauges are read back as they were set, whatever their labels hold", async () => {
  const registry = new MetricRegistry();
  const counter = registry.counter("croft_test_total", "Counts\nwith \\ in its help.", ["who", "why"]);
  const gauge = registry.gauge("croft_test_level", "A level.");
  const nasty = 'a"b\\c\nd,e}f{g="h"';
  counter.add({ who: nasty, why: "" });
  counter.add({ why: "", who: nasty }, 2.5);
  counter.add({ who: "other", why: "x" }, 0);
  gauge.set(-1.5e-7);
  const scraped = parseMetrics(await registry.format());
  assert.equal(scraped.value("croft_test_total", { who: nasty, why: "" }), 3.5);
  assert.equal(scraped.value("croft_test_total", { who: "other", why: "x" }), 0);
  assert.equal(scraped.value("croft_test_level"), -1.5e-7);
  assert.equal(scraped.type.get("croft_test_total"), "counter");
  assert.equal(scraped.help.get("croft_test_total"), "Counts\\nwith \\\\ in its help.");
});

test("a histogram counts each value in all buckets that it fits in", async () => {
  const registry = new MetricRegistry();
  const histogram = registry.histogram("croft_test_seconds", "Times.", [1, 10], ["phase"]);
  for (const value of [0.5, 1, 2, 100]) histogram.observe(value, { phase: "p" });
  const scraped = parseMetrics(await registry.format());
  const bucket = (le: string) => scraped.value("croft_test_seconds_bucket", { phase: "p", le });
  assert.deepEqual([bucket("1"), bucket("10"), bucket("+Inf")], [2, 3, 4]);
  assert.equal(scraped.value("croft_test_seconds_sum", { phase: "p" }), 103.5);
  assert.equal(scraped.value("croft_test_seconds_count", { phase: "p" }), 4);
});

test("a histogram without labels has only that of the bucket", async () => {
  const registry = new MetricRegistry();
  registry.histogram("croft_test_seconds", "Times.", [1]).observe(3);
  assert.equal(parseMetrics(await registry.format()).value("croft_test_seconds_bucket", { le: "1" }), 0);
});

test("mistakes in the use of metrics are found", () => {
  const registry = new MetricRegistry();
  const counter = registry.counter("croft_test_total", "Counts.", ["who"]);
  assert.throws(() => registry.gauge("croft_test_total", "Again."), /already been registered/);
  assert.throws(() => registry.gauge("croft-test", "A dash."), /Invalid metric name/);
  assert.throws(() => counter.add({}), /takes the labels who/);
  assert.throws(() => counter.add({ who: "x", why: "y" }), /takes the labels who/);
  assert.throws(() => counter.add({ who: "x" }, -1), /not possible to decrease/);
});

test("what is looked up is looked up for each scrape", async () => {
  const registry = new MetricRegistry();
  const gauge = registry.gauge("croft_test_level", "A level.");
  let level = 0;
  registry.onCollect(async () => gauge.set(++level));
  await registry.format();
  assert.equal(parseMetrics(await registry.format()).value("croft_test_level"), 2);
});

test("a process tells its memory, its processor time and its start", async () => {
  const registry = new MetricRegistry();
  addProcessMetrics(registry);
  const scraped = parseMetrics(await registry.format());
  assert.ok(scraped.value("process_resident_memory_bytes") > 1e6);
  assert.ok(scraped.value("process_cpu_seconds_total") > 0);
  const age = Date.now() / 1000 - scraped.value("process_start_time_seconds");
  assert.ok(age >= 0 && age < 3600);
});
