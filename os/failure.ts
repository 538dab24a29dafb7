import { constants } from "node:os";

/** Options that a {@link Failure} may carry besides its text. */
export interface FailureOptions {
  /** What went wrong underneath; kept for the log. */
  cause?: unknown;
  /** What the operator can do next, one sentence each. */
  hints?: readonly string[];
  /** Exit status of the command that ends with this failure: 1 unless told, 2 for wrong usage. */
  exitStatus?: number;
}

/**
 * Anything an operator may meet; whatever else is thrown is a bug and ends the process with its stack.
 *
 * The message reads `Cannot <verb> <object>: <reason>`.
 */
export class Failure extends Error {
  readonly hints: readonly string[];
  readonly exitStatus: number;

  constructor(action: string, reason: string, options: FailureOptions = {}) {
    super(`Cannot ${action}: ${reason}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "Failure";
    this.hints = options.hints ?? [];
    this.exitStatus = options.exitStatus ?? 1;
  }
}

/** Wrong usage of the command line or of a configuration file: exit status 2. */
export class UsageFailure extends Failure {
  constructor(action: string, reason: string, options: FailureOptions = {}) {
    super(action, reason, { exitStatus: 2, ...options });
    this.name = "UsageFailure";
  }
}

/** Lets a {@link Failure} be handled; whatever else was thrown is a bug, and is thrown on as it is. */
export function assertFailure(error: unknown): asserts error is Failure {
  if (!(error instanceof Failure)) throw error;
}

const systemReasons: Record<string, string> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EEXIST: "it exists already",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is not a directory",
  ENOSPC: "no space left on device",
  EADDRINUSE: "the address is in use",
  ECONNREFUSED: "connection refused",
  EROFS: "read-only file system",
  EDQUOT: "disk quota exceeded",
  ESTALE: "stale file handle",
};

/** The name of a system error; Node.js has none for some, such as that of a disk quota, and calls them unknown. */
export function codeOf(error: unknown): string | undefined {
  const { code, errno } = (error ?? {}) as NodeJS.ErrnoException;
  if (typeof code !== "string" || errno === undefined || !code.startsWith("Unknown system error"))
    return code;
  return Object.entries(constants.errno).find(([, number]) => number === -errno)?.[0] ?? code;
}

/** The reason in a thrown value, in words: known system errors are translated, others give their message. */
export function reasonOf(error: unknown): string {
  const code = codeOf(error);
  if (typeof code === "string" && systemReasons[code]) return systemReasons[code];
  return error instanceof Error ? error.message : String(error);
}

/**
 * Waits for work of the operating system whose errors an operator may meet.
 *
 * @throws {Failure} `Cannot <action>: <reason>` for a system error; anything else as it is.
 */
export async function attempt<T>(action: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (typeof (error as NodeJS.ErrnoException | null)?.code !== "string") throw error;
    throw new Failure(action, reasonOf(error), { cause: error });
  }
}

/** True for a system error with one of these codes (`ENOENT`…). */
export function isSystemError(error: unknown, ...codes: string[]): boolean {
  const code = codeOf(error);
  return typeof code === "string" && codes.includes(code);
}

/** True for a system error that tells of a full file system, or of a quota that is used up. */
export function hasNoRoom(error: unknown): boolean {
  return isSystemError(error, "ENOSPC", "EDQUOT");
}
