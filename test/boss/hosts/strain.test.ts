import assert from "node:assert/strict";
import { test } from "node:test";
import { strainOf, tooBusy } from "../../../boss/hosts/strain.ts";

const well = { threads: 4, load: 3, freeMemoryMiB: 4000, freeDiskMiB: 9000 };

test("a host whose load is more than is allowed of its threads gets no work, nor one that is short of memory or disk", () => {
  assert.equal(tooBusy(well, 80), undefined);
  assert.equal(tooBusy({ ...well, load: 3.2 }, 80), undefined);
  assert.equal(
    tooBusy({ ...well, load: 3.4 }, 80),
    "its load is 85 % of what its threads can do (--load 80)",
  );
  assert.match(tooBusy({ ...well, freeMemoryMiB: 100 }, 80)!, /^only 100 MiB of memory are free/);
  assert.match(tooBusy({ ...well, freeDiskMiB: 100 }, 80)!, /^only 100 MiB are free on its disk/);
});

test("what a host is short of is told; what it cannot tell is no reason", () => {
  assert.equal(strainOf(well), undefined);
  assert.equal(strainOf({ ...well, load: 100 }), undefined);
  assert.equal(strainOf({ ...well, freeMemoryMiB: 0, freeDiskMiB: 0 }), undefined);
  assert.equal(
    strainOf({ ...well, freeMemoryMiB: 10, freeDiskMiB: 20 }),
    "only 10 MiB of memory are free, only 20 MiB are free on its disk",
  );
});
