/** Figures of the null builds, and how they are printed. */
export type Figures = Map<string, number[]>;

export function note(figures: Figures, what: string, value: number): void {
  figures.set(what, [...(figures.get(what) ?? []), value]);
}

export function median(values: readonly number[] | undefined): number {
  return at(values ?? [], 0.5);
}

export function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

/** Median and, in brackets, p90. */
export function show(values: readonly number[] | undefined): string {
  return values === undefined ? "-" : `${median(values).toFixed(0)} (${at(values, 0.9).toFixed(0)})`;
}

export function line(what: string, ...values: string[]): void {
  process.stdout.write(`${what.padEnd(50)}${values.map((value) => value.padStart(15)).join("")}\n`);
}

/** A goal beside what was measured. */
export function goal(what: string, measured: string, wanted: string, isMet: boolean): void {
  process.stdout.write(
    `${what.padEnd(66)}${measured.padStart(14)}  goal ${wanted}: ${isMet ? "met" : "MISSED"}\n`,
  );
}
