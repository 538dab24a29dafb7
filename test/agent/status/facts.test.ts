import assert from "node:assert/strict";
import { test } from "node:test";
import { factsOf } from "../../../agent/status/facts.ts";
import { makeSettings } from "../settings/make-settings.ts";
import { packageVersion } from "../../../os/files/package.ts";

test("a service's log begins with the facts that are in effect, without the secrets of URLs", () => {
  const given = {
    ...{ cpu: 3, ram: 200_000, network: "bridge", bridge: "br7", interactive: "both" },
    ...{ "toolchain-name": "gcc", "toolchain-num": 2, "toolchain-ver": "1.2.0", "toolchain-id": "abc" },
    ...{ instance: 4, "instance-max": 6, spool: "/s", runtime: "/r" },
  };
  const settings = makeSettings(given, ["1100=https://me:pass@c.example/task?token=s3cret", "http://d/"]);
  const signer = { fingerprint: "0123", sign: async () => "", prove: async () => "" };
  assert.deepEqual(factsOf({ settings, signer, workerVersion: "5" }), [
    `version: ${packageVersion}`,
    "worker: 5",
    "cpu: 3",
    "ram KiB: 200000",
    "network: bridge br7",
    "key fingerprint: 0123",
    "interactive: both",
    "toolchain: gcc 2 1.2.0 abc",
    "instance: 4",
    "instance maximum: 6",
    "controller: 1100=https://c.example/task?token=***",
    "controller: 0000=http://d/",
  ]);
});
