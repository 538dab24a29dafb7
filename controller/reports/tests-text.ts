/** How tests of a build went, as people read it. */

/** Such as `212, 2 failed, 1 skipped, in 3.2 s`. */
export function testsText(all: {
  tests: number;
  failures: number;
  errors: number;
  skipped: number;
  seconds: number;
}): string {
  const { tests, failures, errors, skipped, seconds } = all;
  const bad = failures + errors;
  const parts = [
    String(tests),
    bad > 0 ? `${bad} failed` : "",
    skipped > 0 ? `${skipped} skipped` : "",
    seconds > 0 ? `in ${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s` : "",
  ];
  return parts.filter((part) => part !== "").join(", ");
}
