export function modulesLock(root: string): string;
export function modulesAreCurrent(root: string): boolean;
export function linkRuntime(root: string): void;
export function installModules(
  root: string,
  options: { log: string; install?: readonly string[] },
): Promise<void>;
