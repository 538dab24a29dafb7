declare module "proper-lockfile" {
  interface LockOptions {
    realpath?: boolean;
    lockfilePath?: string;
    stale?: number;
    update?: number;
    retries?: number | { retries: number; minTimeout: number; maxTimeout: number; factor: number };
    onCompromised?: (error: Error) => void;
  }
  const lockfile: { lock(path: string, options?: LockOptions): Promise<() => Promise<void>> };
  export default lockfile;
}
