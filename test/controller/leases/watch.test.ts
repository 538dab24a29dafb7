/** When leases are looked at. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { startLeaseWatch } from "../../../controller/leases/watch.ts";
import { silentLog } from "../../../os/log.ts";
import { holdPauses } from "../../fixtures/pauses.ts";

test("leases are looked at when the next one ends, after 5 s at the latest, and never without a pause", async () => {
  using pauses = holdPauses();
  {
    const log = silentLog();
    const errors = mock.method(log, "error", () => {});
    /** In how many milliseconds the next lease ends, and when it is looked at again. */
    const looks = [
      [undefined, 5000],
      [20_000, 5000],
      [3000, 3000],
      [1, 100],
      [-5, 5000], // it is not to end now
      [new Error("no database"), 5000],
      [1000, 1000],
    ] as const;
    let count = 0;
    const look = async () => {
      const [found] = looks[count++] ?? [];
      if (found instanceof Error) throw found;
      return found;
    };
    {
      await using _watch = startLeaseWatch({ look }, log);
      for (const [, milliseconds] of looks) {
        const pause = await pauses.next();
        assert.equal(pause.milliseconds, milliseconds);
        pause.end();
      }
      await pauses.next();
      assert.deepEqual([count, errors.mock.callCount()], [8, 1]);
    }
    assert.equal(count, 8, "it ends at once, and does not look again");
  }
});

test("whoever ends the watch waits for a look that is under way", async () => {
  const looking = Promise.withResolvers<number | undefined>();
  let ended = false;
  const watch = startLeaseWatch({ look: () => looking.promise }, silentLog());
  const end = watch[Symbol.asyncDispose]().then(() => (ended = true));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(ended, false);
  looking.resolve(undefined);
  await end;
});
