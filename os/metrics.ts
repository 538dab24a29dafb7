/** Metrics in the text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/), by prom-client. */
import * as prometheus from "prom-client";

/** Values of a metric's labels by name. */
export type Labels = Readonly<Record<string, string>>;

/** What a metric is, for its documentation. */
export interface MetricDescription {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** One sentence. */
  readonly help: string;
  readonly labels: readonly string[];
}

/** `Content-Type` of {@link MetricRegistry.format}. */
export const metricsContentType = prometheus.Registry.PROMETHEUS_CONTENT_TYPE;

/** The metrics of a process, in the order in which they were made. */
export class MetricRegistry {
  readonly descriptions: MetricDescription[] = [];
  readonly #registry = new prometheus.Registry();
  readonly #collectors: (() => void | Promise<void>)[] = [];

  /** A value that only grows; its name ends in `_total`. */
  counter(name: string, help: string, labels: readonly string[] = []): Counter {
    const configuration = this.#describe({ name, type: "counter", help, labels });
    return new Counter(configuration, new prometheus.Counter(configuration));
  }

  gauge(name: string, help: string, labels: readonly string[] = []): Gauge {
    const configuration = this.#describe({ name, type: "gauge", help, labels });
    return new Gauge(configuration, new prometheus.Gauge(configuration));
  }

  /** @param bounds upper bounds of the buckets, growing; the one without bound is added. */
  histogram(
    name: string,
    help: string,
    bounds: readonly number[],
    labels: readonly string[] = [],
  ): Histogram {
    const configuration = this.#describe({ name, type: "histogram", help, labels });
    return new Histogram(configuration, new prometheus.Histogram({ ...configuration, buckets: [...bounds] }));
  }

  /** Has this called before each {@link format}: for what is looked up rather than counted. */
  onCollect(collect: () => void | Promise<void>): void {
    this.#collectors.push(collect);
  }

  /** The text that is scraped. */
  async format(): Promise<string> {
    for (const collect of this.#collectors) await collect();
    return await this.#registry.metrics();
  }

  #describe(description: MetricDescription) {
    this.descriptions.push(description);
    const { name, help, labels } = description;
    return { name, help, labelNames: [...labels], registers: [this.#registry] };
  }
}

/** What all kinds of metrics have; `Kept` is what prom-client keeps of one. */
class Metric<Kept> {
  protected readonly kept: Kept;
  readonly #name: string;
  readonly #labelNames: readonly string[];

  constructor({ name, labelNames }: { name: string; labelNames: readonly string[] }, kept: Kept) {
    this.#name = name;
    this.#labelNames = labelNames;
    this.kept = kept;
  }

  /** The library takes a value without a label that was declared, and makes a series of its own of it. */
  protected all(labels: Labels): Labels {
    const names = this.#labelNames;
    if (Object.keys(labels).length !== names.length || names.some((name) => labels[name] === undefined))
      throw new Error(`metric '${this.#name}' takes the labels ${names.join(", ") || "(none)"}`);
    return labels;
  }
}

export class Counter extends Metric<prometheus.Counter> {
  /** @param by at least 0; 0 makes the series known, so that its first increase is seen as one. */
  add(labels: Labels = {}, by = 1): void {
    this.kept.inc(this.all(labels), by);
  }
}

export class Gauge extends Metric<prometheus.Gauge> {
  set(value: number, labels: Labels = {}): void {
    this.kept.set(this.all(labels), value);
  }

  /** Forgets the values for all labels. */
  clear(): void {
    this.kept.reset();
  }
}

export class Histogram extends Metric<prometheus.Histogram> {
  observe(value: number, labels: Labels = {}): void {
    this.kept.observe(this.all(labels), value);
  }
}

/** Adds what every process tells of itself, by the names that are common among Prometheus' clients. */
export function addProcessMetrics(registry: MetricRegistry): void {
  const memory = registry.gauge("process_resident_memory_bytes", "Memory that the process has, in bytes.");
  const cpu = registry.counter("process_cpu_seconds_total", "Processor time of the process, in seconds.");
  const start = registry.gauge("process_start_time_seconds", "Start of the process, in seconds since 1970.");
  start.set(Math.round(performance.timeOrigin) / 1000);
  let toldSeconds = 0;
  registry.onCollect(() => {
    const { user, system } = process.cpuUsage();
    memory.set(process.memoryUsage.rss());
    const usedSeconds = (user + system) / 1e6;
    cpu.add({}, Math.max(0, usedSeconds - toldSeconds));
    toldSeconds = Math.max(usedSeconds, toldSeconds);
  });
}
