/** Clocks that are set while builds are being built: what becomes of their leases in the database. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BuildQueue } from "../../../controller/builds/queue.ts";
import { Faults } from "../../../controller/builds/faults.ts";
import { Leases } from "../../../controller/leases/leases.ts";
import { silentLog } from "../../../os/log.ts";
import { openFarm } from "../in-process.ts";

const day = 24 * 3600 * 1000;

test("no build is taken from its agent by a clock that was set, nor left to a dead one for longer", async () => {
  await using farm = await openFarm("embedded");
  const { database, builds, changes } = farm;
  let own = 0;
  const queue = new BuildQueue(database);
  const log = silentLog();
  const faults = new Faults(queue, farm.blobs, log);
  const leases = new Leases(
    { database, queue, faults, changes, log, agentKeys: farm.agentKeys },
    { controllerName: "here", leaseMarginSeconds: 600, now: () => own },
  );
  await leases.look();
  const { sessions } = farm;
  const what = { name: "x", version: "0", repository: "https://x.org/x.git", targets: ["*"], priority: 0 };
  await builds.submit(what, null);
  const offer = { agent: "host", toolchain: "default", interactive: "false", machines: ["m"] } as const;
  const { session } = (await sessions.assign({ ...offer, machines: ["m"] }))!;
  /** The clock of the database is set: what it wrote before is as far away. */
  const set = async (milliseconds: number) => {
    await database.query(
      "update croft.sessions set expires_at = expires_at - $1 * interval '1 millisecond'",
      [milliseconds],
    );
    own -= milliseconds;
  };
  for (const milliseconds of [day, -day]) {
    await set(milliseconds);
    await leases.look();
    const now = (await sessions.find(session.token))!;
    assert.equal(now.state, "active");
    const lease = (now.expires_at.getTime() - Date.now()) / 1000;
    assert.ok(lease > session.lease_seconds - 60 && lease <= session.lease_seconds + 1, String(lease));
  }
  await database.query("update croft.sessions set expires_at = now()");
  await leases.look();
  assert.equal((await sessions.find(session.token))!.state, "expired");
});
