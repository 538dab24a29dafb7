/** Longer timers of Node.js overflow, and would end at once. */
export const timerMaxMilliseconds = 2 ** 31 - 1;

/**
 * A time that a wait may take: `using deadline = new Deadline(60); await Promise.race([it, deadline.passed])`.
 * With its scope the timer is gone, so that nothing holds the process.
 */
export class Deadline implements Disposable {
  /** Fulfilled when the time is over, and when the signal is aborted: whoever gives one looks at it afterwards. */
  readonly passed: Promise<"late">;
  readonly #clear: () => void;

  constructor(seconds: number, signal?: AbortSignal) {
    const { promise, resolve } = Promise.withResolvers<"late">();
    this.passed = promise;
    const pass = () => resolve("late");
    const timer = setTimeout(pass, Math.min(seconds * 1000, timerMaxMilliseconds));
    if (signal?.aborted) pass();
    signal?.addEventListener("abort", pass, { once: true });
    this.#clear = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", pass);
    };
  }

  [Symbol.dispose](): void {
    this.#clear();
  }
}
