/** Lock on a file; a child that is given `fd` keeps it for as long as it lives. */
export interface HeldLock {
  readonly fd: number;
  release(): void;
}
export function lockFile(
  path: string,
  mode: "shared" | "exclusive",
  options?: { wait?: boolean },
): Promise<HeldLock | undefined>;
export function holdersOf(path: string): string[];
