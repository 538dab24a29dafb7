/**
 * Metrics in the text format of Prometheus, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 */

/** Values of a metric's labels by name. */
export type Labels = Readonly<Record<string, string>>;

type MetricType = "counter" | "gauge" | "histogram";

/** What a metric is, for its documentation. */
export interface MetricDescription {
  readonly name: string;
  readonly type: MetricType;
  /** One sentence. */
  readonly help: string;
  readonly labels: readonly string[];
}

/** `Content-Type` of {@link MetricRegistry.format}. */
export const metricsContentType = "text/plain; version=0.0.4; charset=utf-8";

/** The metrics of a process, in the order in which they were made. */
export class MetricRegistry {
  readonly #metrics: Metric[] = [];
  readonly #collectors: (() => void | Promise<void>)[] = [];

  /** A value that only grows; its name ends in `_total`. */
  counter(name: string, help: string, labels: readonly string[] = []): Counter {
    return this.#add(new Counter({ name, type: "counter", help, labels }));
  }

  gauge(name: string, help: string, labels: readonly string[] = []): Gauge {
    return this.#add(new Gauge({ name, type: "gauge", help, labels }));
  }

  /** @param bounds upper bounds of the buckets, growing; the one without bound is added. */
  histogram(
    name: string,
    help: string,
    bounds: readonly number[],
    labels: readonly string[] = [],
  ): Histogram {
    return this.#add(new Histogram({ name, type: "histogram", help, labels }, bounds));
  }

  /** Has this called before each {@link format}: for what is looked up rather than counted. */
  onCollect(collect: () => void | Promise<void>): void {
    this.#collectors.push(collect);
  }

  get descriptions(): readonly MetricDescription[] {
    return this.#metrics.map(({ description }) => description);
  }

  /** The text that is scraped. */
  async format(): Promise<string> {
    for (const collect of this.#collectors) await collect();
    return this.#metrics.map((metric) => metric.format()).join("");
  }

  #add<T extends Metric>(metric: T): T {
    const { name, labels } = metric.description;
    if (![name, ...labels].every((word) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(word)))
      throw new Error(`'${name}' has a name or label that Prometheus does not take`);
    if (this.#metrics.some((other) => other.description.name === name))
      throw new Error(`there are two metrics '${name}'`);
    this.#metrics.push(metric);
    return metric;
  }
}

abstract class Metric {
  readonly description: MetricDescription;

  constructor(description: MetricDescription) {
    this.description = description;
  }

  /** Lines of the values, without comments. */
  protected abstract samples(): string[];

  format(): string {
    const { name, type, help } = this.description;
    const escaped = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
    return [`# HELP ${name} ${escaped}`, `# TYPE ${name} ${type}`, ...this.samples(), ""].join("\n");
  }

  /** `{a="1",b="2"}`, the same for the same labels; they must be those that were declared. */
  protected key(labels: Labels): string {
    const names = this.description.labels;
    if (Object.keys(labels).length !== names.length || names.some((name) => labels[name] === undefined))
      throw new Error(`metric '${this.description.name}' takes the labels ${names.join(", ") || "(none)"}`);
    return names.length === 0 ? "" : `{${names.map((name) => pair(name, labels[name]!)).join(",")}}`;
  }
}

abstract class SimpleMetric extends Metric {
  protected readonly values = new Map<string, number>();

  /** The value, 0 if it has none. */
  value(labels: Labels = {}): number {
    return this.values.get(this.key(labels)) ?? 0;
  }

  protected samples(): string[] {
    return [...this.values].map(([key, value]) => `${this.description.name}${key} ${number(value)}`);
  }
}

export class Counter extends SimpleMetric {
  /** @param by at least 0; 0 makes the series known, so that its first increase is seen as one. */
  add(labels: Labels = {}, by = 1): void {
    if (!(by >= 0)) throw new Error(`counter '${this.description.name}' cannot grow by ${by}`);
    const key = this.key(labels);
    this.values.set(key, (this.values.get(key) ?? 0) + by);
  }
}

export class Gauge extends SimpleMetric {
  set(value: number, labels: Labels = {}): void {
    this.values.set(this.key(labels), value);
  }

  /** Forgets the values for all labels. */
  clear(): void {
    this.values.clear();
  }
}

export class Histogram extends Metric {
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, { labels: Labels; counts: number[]; sum: number }>();

  constructor(description: MetricDescription, bounds: readonly number[]) {
    super(description);
    this.#bounds = [...bounds, Infinity];
  }

  observe(value: number, labels: Labels = {}): void {
    const key = this.key(labels);
    let series = this.#series.get(key);
    if (!series) this.#series.set(key, (series = { labels, counts: this.#bounds.map(() => 0), sum: 0 }));
    series.sum += value;
    series.counts[this.#bounds.findIndex((bound) => value <= bound)]!++;
  }

  protected samples(): string[] {
    const { name } = this.description;
    return [...this.#series].flatMap(([key, { counts, sum }]) => {
      let total = 0;
      const buckets = counts.map((count, index) => {
        total += count;
        const bound = pair("le", number(this.#bounds[index]!));
        return `${name}_bucket${key === "" ? `{${bound}}` : key.replace(/\}$/, `,${bound}}`)} ${total}`;
      });
      return [...buckets, `${name}_sum${key} ${number(sum)}`, `${name}_count${key} ${total}`];
    });
  }
}

function pair(name: string, value: string): string {
  return `${name}="${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}

function number(value: number): string {
  return value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value);
}

/** Adds what every process tells of itself, by the names that are common among Prometheus' clients. */
export function addProcessMetrics(registry: MetricRegistry): void {
  const memory = registry.gauge("process_resident_memory_bytes", "Memory that the process has, in bytes.");
  const cpu = registry.counter("process_cpu_seconds_total", "Processor time of the process, in seconds.");
  const start = registry.gauge("process_start_time_seconds", "Start of the process, in seconds since 1970.");
  start.set(Math.round(performance.timeOrigin) / 1000);
  registry.onCollect(() => {
    const { user, system } = process.cpuUsage();
    memory.set(process.memoryUsage.rss());
    cpu.add({}, Math.max(0, (user + system) / 1e6 - cpu.value()));
  });
}
