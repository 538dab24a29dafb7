/** A text that is no valid manifest; says where and why. */
export class ManifestError extends Error {
  /** 1-based. */
  readonly line: number;
  /** 1-based, in code points. */
  readonly column: number;
  /** File name or URL, if the caller told it. */
  readonly source?: string;
  readonly reason: string;

  constructor(position: { line: number; column: number }, reason: string, source?: string) {
    super(`${source === undefined ? "" : `${source}:`}${position.line}:${position.column}: ${reason}`);
    this.name = "ManifestError";
    this.line = position.line;
    this.column = position.column;
    if (source !== undefined) this.source = source;
    this.reason = reason;
  }
}

/** A sequence of pairs that cannot be written as a manifest. */
export class ManifestWriteError extends Error {
  readonly reason: string;

  constructor(reason: string) {
    super(`Cannot write manifest: ${reason}`);
    this.name = "ManifestWriteError";
    this.reason = reason;
  }
}
