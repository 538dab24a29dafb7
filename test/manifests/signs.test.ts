/** Signs of life, and what is answered to them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManifestError } from "../../manifests/error.ts";
import {
  formatEndedSessions,
  formatSigns,
  parseEndedSessions,
  parseSigns,
  type SessionSign,
} from "../../manifests/own/signs.ts";

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

test("signs of several sessions are a manifest each, and so is what became of some", () => {
  const signs: SessionSign[] = [
    { session: "a", phase: "building" },
    { session: "b", phase: "deciding" },
    { session: "c", phase: "delivering" },
  ];
  assert.equal(
    text(formatSigns(signs.slice(0, 2))),
    ": 1\nsession: a\nphase: building\n:\nsession: b\nphase: deciding\n",
  );
  assert.deepEqual(parseSigns(formatSigns(signs)), signs);
  const ended = [{ session: "a", state: "cancelled" }];
  assert.equal(text(formatEndedSessions(ended)), ": 1\nsession: a\nstate: cancelled\n");
  assert.deepEqual(parseEndedSessions(formatEndedSessions(ended)), ended);
});

test("a phase that is not known is one in which the agent works; without any sign there is an error", () => {
  const newer = Buffer.from(": 1\nsession: a\nphase: thinking\nmood: good\n");
  assert.deepEqual(parseSigns(newer, { lenient: true }), [{ session: "a", phase: "building" }]);
  for (const wrong of [
    "",
    ": 1\n",
    ": 1\nphase: building\n",
    ": 1\nsession: a\n",
    ": 1\nsession: a b\nphase: x\n",
  ])
    assert.throws(() => parseSigns(Buffer.from(wrong)), ManifestError, wrong);
});
