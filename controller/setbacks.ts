/** How often a build was tried, and why more than once, as people read it. */

/** What is counted of a build. */
export interface Attempts {
  attempts: number;
  aborts: number;
  faults: number;
  interrupts: number;
}

/** Such as `4 (2 faults, 1 interrupt)`. */
export function attemptsText({ attempts, aborts, faults, interrupts }: Attempts): string {
  const counts: [number, string][] = [
    [aborts, "abort"],
    [faults, "fault"],
    [interrupts, "interrupt"],
  ];
  const told = counts.filter(([count]) => count > 0).map(([count, name]) => several(count, name));
  return told.length === 0 ? String(attempts) : `${attempts} (${told.join(", ")})`;
}

function several(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}
