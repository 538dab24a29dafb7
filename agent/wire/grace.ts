/**
 * A signal that comes so many seconds after another one, or from now on if that has come already: for work that is
 * worth a moment, as it may have had its effect elsewhere. Disposing of it ends that.
 */
export class Grace implements Disposable {
  readonly signal: AbortSignal;
  readonly #clear: () => void;

  constructor(stop: AbortSignal, seconds: number) {
    const late = new AbortController();
    this.signal = late.signal;
    let timer: NodeJS.Timeout | undefined;
    const begin = () => (timer = setTimeout(() => late.abort(stop.reason), seconds * 1000));
    if (stop.aborted) begin();
    else stop.addEventListener("abort", begin, { once: true });
    this.#clear = () => {
      clearTimeout(timer);
      stop.removeEventListener("abort", begin);
    };
  }

  [Symbol.dispose](): void {
    this.#clear();
  }
}
