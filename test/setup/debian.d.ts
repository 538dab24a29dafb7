/** Package to the programs that are used of it. */
export type Wanted = Record<string, readonly string[]>;
export const purposes: Record<"demo" | "test" | "check", Wanted>;
export function missingPackages(wanted: Wanted): string[];
export function installPackages(packages: readonly string[], log: string): Promise<void>;
export function apt(args: readonly string[], options: { log: string; cwd?: string }): Promise<void>;
