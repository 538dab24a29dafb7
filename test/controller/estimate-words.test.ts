import assert from "node:assert/strict";
import { test } from "node:test";
import { estimateText, shortEstimate, waitingText } from "../../controller/estimate-words.ts";

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

test("whoever waits for a build is told in one sentence why it waits, when it begins and how long it takes, as far as that is known", () => {
  const told = (reason: string, startSeconds: number | null, buildSeconds: number | null) =>
    waitingText(reason, { startSeconds, buildSeconds, remainingSeconds: null });
  const next = "it is next; an idle agent is about to take it";
  assert.equal(told(next, 0, null), next);
  assert.equal(told(next, 0, 75), `${next}; building takes about 1m15s`);
  const busy = "all agents that could build it are busy (2)";
  assert.equal(told(busy, 240, 75), `${busy}; it begins in about 4m00s, and building takes about 1m15s`);
  assert.equal(told(busy, 240, null), `${busy}; it begins in about 4m00s`);
  assert.equal(told("all targets are paused", null, 75), "all targets are paused");
});

test("what is to be expected of a build that waits is told without its reason, too", () => {
  const said = (startSeconds: number | null, buildSeconds: number | null) =>
    estimateText("queued", { startSeconds, buildSeconds, remainingSeconds: null });
  assert.equal(said(0, 75), "begins in a moment, takes about 1m15s");
  assert.equal(said(0, null), "begins in a moment; how long it takes is known after its first success");
  assert.equal(said(240, 75), "begins in about 4m00s, takes about 1m15s");
  assert.equal(said(null, 75), "takes about 1m15s once it begins");
  assert.equal(said(null, null), "no estimate");
});
