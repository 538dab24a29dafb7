export interface ProgressOptions {
  stream?: { isTTY?: boolean; write(text: string): unknown };
  /** Seconds between the lines on a stream that is no terminal. */
  every?: number;
}
export interface Progress {
  seconds(): number;
  now(title: string): void;
  giveWay(): void;
  end(): void;
}
export function progress(title: string, options?: ProgressOptions): Progress;
export function showing<T>(
  title: string,
  action: (show: Progress) => Promise<T>,
  options?: ProgressOptions,
): Promise<T>;
