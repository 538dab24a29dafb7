import assert from "node:assert/strict";
import { test } from "node:test";
import { shortEstimate } from "../../controller/estimate-words.ts";

test("lists say in few words when a build begins, or how long it still takes, and nothing where that is not known", () => {
  const said = (startSeconds: number | null, remainingSeconds: number | null) =>
    shortEstimate({ buildSeconds: 60, startSeconds, remainingSeconds });
  assert.equal(said(0, null), "begins at once");
  assert.equal(said(0.2, null), "begins in ~1s");
  assert.equal(said(95, null), "begins in ~1m35s");
  assert.equal(said(4000, null), "begins in ~1h07m");
  assert.equal(said(null, 20), "~20s to go");
  assert.equal(said(null, 0), "longer than usual");
  assert.equal(said(null, null), "");
});
