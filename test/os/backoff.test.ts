import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff, pauseAfter, retryAfterSeconds } from "../../os/backoff.ts";

test("pauses double up to the maximum, for each key by itself, and a success ends them", () => {
  let now = 0;
  const backoff = new Backoff<string>(10, () => now);
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6].map(() => backoff.failed("a")),
    [1, 2, 4, 8, 10, 10],
  );
  assert.equal(backoff.failed("b"), 1);
  now = 500;
  assert.equal(backoff.remainingSeconds("b"), 0.5);
  assert.equal(backoff.remainingSeconds("a"), 9.5);
  backoff.succeeded("a");
  assert.equal(backoff.remainingSeconds("a"), 0);
  assert.equal(backoff.failed("a"), 1);
});

test("what has cost time is left alone at least as long, twice that the next time", () => {
  const backoff = new Backoff<string>(600, () => 0);
  assert.deepEqual(
    [60, 60, 60, 0.1].map((seconds) => backoff.failed("a", seconds)),
    [60, 120, 240, 8],
  );
  assert.equal(backoff.failed("b", 0.1), 1);
});

test("pauses by a count of tries double, up to the longest, and are no shorter than the other end wants", () => {
  const patience = { firstPauseSeconds: 10, longestPauseSeconds: 7200 };
  assert.deepEqual(
    [1, 2, 3, 20, 5000].map((tries) => pauseAfter(tries, patience)),
    [10, 20, 40, 7200, 7200],
  );
  assert.deepEqual(
    [15, 9000].map((wanted) => pauseAfter(1, patience, wanted)),
    [15, 7200],
  );
});

test("Retry-After counts in seconds; a date, nothing and less than nothing are no pause", () => {
  const headers = ["120", "Wed, 21 Oct 2026 07:28:00 GMT", "-5", null, undefined];
  assert.deepEqual(
    headers.map((header) => retryAfterSeconds(header)),
    [120, 0, 0, 0, 0],
  );
});
