/**
 * Starts work that goes on until its signal is aborted, and does not fail; disposing of it aborts the signal and waits until
 * the work has ended.
 */
export function startLoop(work: (signal: AbortSignal) => Promise<void>): AsyncDisposable {
  const ended = new AbortController();
  const loop = work(ended.signal);
  return {
    [Symbol.asyncDispose]: async () => {
      ended.abort();
      await loop;
    },
  };
}
