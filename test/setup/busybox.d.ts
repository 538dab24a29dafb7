export function staticBusybox(root: string, path?: string): string | undefined;
export function isStatic(file: string): boolean;
export function fetchStaticBusybox(root: string, log: string): Promise<void>;
