/** Work that many ask for at the same time. */
import { setImmediate } from "node:timers/promises";

/**
 * Makes work that many ask for at the same time be done once for all of them: who asks while it is being done gets what is done next, as
 * what is being done may have looked before something happened that the asker knows of.
 *
 * @param work what it gives must not be changed by who gets it
 * @param keyOf what it is done once for; without that, each of what is asked for
 */
export function onceForAll<Asked, Result>(
  work: (asked: Asked) => Promise<Result>,
  keyOf: (asked: Asked) => unknown = (asked) => asked,
): (asked: Asked) => Promise<Result> {
  const running = new Map<unknown, Promise<unknown>>();
  const next = new Map<unknown, Promise<Result>>();
  const start = async (key: unknown, asked: Asked): Promise<Result> => {
    await running.get(key)?.catch(() => {}); // that is told to those who asked for it
    // Those who ask now come in first: work with an embedded database lets nobody in until it is done.
    await setImmediate();
    next.delete(key);
    const done = work(asked);
    running.set(key, done);
    try {
      return await done;
    } finally {
      if (running.get(key) === done) running.delete(key);
    }
  };
  return (asked) => {
    const key = keyOf(asked);
    const known = next.get(key);
    if (known) return known;
    const started = start(key, asked);
    next.set(key, started);
    return started;
  };
}
