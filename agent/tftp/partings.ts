/**
 * Most ended transfers whose peers are still answered; the oldest leaves. Not for a time: a peer may have been held, as
 * the guest of a busy host, for longer than any.
 */
const partingsMaximum = 32;

/** Sockets of transfers that have ended with an error, which is told again to peers that have not heard it. */
export class Partings implements Disposable {
  readonly #sockets = new Set<Disposable>();

  /** Keeps a socket until others need its place. */
  add(socket: Disposable): void {
    this.#sockets.add(socket);
    const [oldest] = this.#sockets;
    if (this.#sockets.size <= partingsMaximum || oldest === undefined) return;
    this.#sockets.delete(oldest);
    oldest[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket[Symbol.dispose]();
    this.#sockets.clear();
  }
}
