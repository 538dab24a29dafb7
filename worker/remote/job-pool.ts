/** Jobs that a build may run until it is disposed of. */
export interface Share extends Disposable {
  readonly jobs: number;
}

/**
 * Shares out a host's threads among running builds: never more jobs in all than there are threads, and no thread
 * idle that a build could have. A build takes its share anew at each commit, so shares follow the number of builds.
 */
export class JobPool {
  readonly #total: number;
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(threads: number) {
    this.#total = threads;
    this.#free = threads;
  }

  /**
   * Waits until a thread is free.
   *
   * @param builds how many builds there are to share among, this one counted; asked when the share is given.
   */
  async take(builds: () => number): Promise<Share> {
    while (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const fair = Math.ceil(this.#total / Math.max(1, builds()));
    const jobs = Math.max(1, Math.min(this.#free, fair));
    this.#free -= jobs;
    let held = true;
    return {
      jobs,
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#free += jobs;
        for (const wake of this.#waiting.splice(0)) wake();
      },
    };
  }
}
