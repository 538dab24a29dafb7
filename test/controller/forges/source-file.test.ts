/** What a `.croft.yaml` asks for, and what is wrong in it, with the place. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readWanted } from "../../../controller/source-file/check.ts";
import { nextTime } from "../../../controller/source-file/clock.ts";
import { editorSchema } from "../../../controller/source-file/schema.ts";
import { outlookOf } from "../../../controller/forges/later-builds.ts";
import { packageFile } from "../../../os/files/package.ts";

const allowed = {
  targets: ["debian-12", "debian-13", "fedora"],
  notifications: ["team", "chat"],
  auxiliary: ["mariadb-*", "redis"],
};
const read = (text: string) => readWanted(text, allowed);

test("an empty file asks for one build for all targets of the repository", () => {
  const [only, ...more] = read("").builds;
  assert.deepEqual([only?.targets, only?.versions, only?.name], [allowed.targets, ["0"], undefined]);
  assert.deepEqual(more, []);
});

test("keys at the top hold for all builds that do not say them", () => {
  const file =
    "targets: [debian-*]\nconfig: -O2\nbuilds:\n- name: a\n- name: b\n  targets: [fedora]\n  needs: [a]\n";
  const [a, b] = read(file).builds;
  assert.deepEqual([a?.targets, a?.config], [["debian-12", "debian-13"], "-O2"]);
  assert.deepEqual([b?.targets, b?.config, b?.needs], [["fedora"], "-O2", ["a"]]);
});

test("variables and auxiliary machines of a build come beside those at the top, each by its name", () => {
  const file = `variables: { A: "1", B: "2" }
auxiliary: { db: mariadb-11 }
notifications: [team]
builds:
- name: a
- name: b
  variables: { B: "3" }
  auxiliary: { cache: redis }
  notifications: []
`;
  const [a, b] = read(file).builds;
  assert.deepEqual(
    [a?.variables, a?.auxiliary, a?.notifications],
    [{ A: "1", B: "2" }, { db: "mariadb-11" }, ["team"]],
  );
  assert.deepEqual(b?.variables, { A: "1", B: "3" });
  assert.deepEqual([b?.auxiliary, b?.notifications], [{ db: "mariadb-11", cache: "redis" }, []]);
  assert.deepEqual(read("").builds[0]?.notifications, allowed.notifications);
});

for (const [what, text, place, reason] of [
  ["a notification that there is not", "notifications: [team, boss]\n", "1:23", "no notification 'boss'"],
  ["an address for one", "notifications: [https://x.org/]\n", "1:17", "must match pattern"],
  ["a machine that there is not", "auxiliary:\n  db: mariadb\n", "2:3", "no auxiliary machine 'mariadb'"],
  ["a pattern that is too wide", 'auxiliary: { db: "*" }\n', "1:14", "no auxiliary machine '*'"],
  [
    "a variable that is the worker's",
    "builds:\n- name: a\n  variables: { PATH: /x }\n",
    "3:16",
    "has a variable of this name",
  ],
  ["a variable that is a number", "variables:\n  PORT: 5432\n", "2:3", "must be string"],
  ["an unknown key", "a: 1\nb: 2\n", "1:1", "a: unknown key"],
  ["a target that there is not", "targets: [debian-12, suse]\n", "1:22", "no target 'suse'"],
  ["a name twice", "builds:\n- name: a\n- name: a\n", "3:3", "two called 'a'"],
  ["a need of no build", "builds:\n- name: a\n  needs: [b]\n", "3:11", "no build 'b'"],
  ["a circle", "builds:\n- name: a\n  needs: [b]\n- name: b\n  needs: [a]\n", "3:3", "'a' waits for itself"],
  [
    "a zone that there is not",
    "schedule:\n- cron: 0 3 * * *\n  zone: Europe/Rom\n",
    "3:3",
    "no time zone 'Europe/Rom'",
  ],
  ["a time that never comes", "schedule:\n- cron: 0 0 30 2 *\n", "2:3", "never comes"],
  ["a time with seconds", "schedule:\n- cron: 0 0 0 1 2 *\n", "2:3", "6 fields"],
  [
    "a time that comes too often",
    'schedule:\n- cron: "* * * * *"\n',
    "2:3",
    "more often than every 5 minutes",
  ],
  ["what is nested thousands of times", `a:\n  ${"[".repeat(60_000)}`, "2:1", "nested too deeply"],
  ["lists in lists in lists", `${"- ".repeat(30_000)}`, "1:1", "nested too deeply"],
] as const)
  test(`${what} is told of with its place`, () => {
    assert.throws(
      () => read(text),
      ({ message }: Error) => {
        assert.ok(message.includes(`.croft.yaml:${place}: `), message);
        assert.ok(message.includes(reason), message);
        return true;
      },
    );
  });

test("a time that the clocks skip comes once, after the gap; one that they have twice comes once", () => {
  const zone = "Europe/Berlin";
  const times = (cron: string, from: string, count: number) => {
    const found: string[] = [];
    for (let at = new Date(from); found.length < count;) {
      at = nextTime({ cron, zone }, at);
      found.push(at.toISOString());
    }
    return found;
  };
  // Clocks go from 2:00 to 3:00 on 2026-03-29, and from 3:00 to 2:00 on 2026-10-25.
  assert.deepEqual(times("30 2 * * *", "2026-03-28T12:00:00Z", 2), [
    "2026-03-29T01:00:00.000Z",
    "2026-03-30T00:30:00.000Z",
  ]);
  assert.deepEqual(times("30 2 * * *", "2026-10-24T12:00:00Z", 2), [
    "2026-10-25T00:30:00.000Z",
    "2026-10-26T01:30:00.000Z",
  ]);
});

test("a build is queued when all that it needs has succeeded, and skipped when one of it has not", () => {
  const of = (name: string, status: string | null, id = 1) =>
    ({ id, name, status, state: status === null ? "building" : "finished" }) as const;
  assert.deepEqual(outlookOf(["a"], [of("a", "success"), of("a", null)], []), { state: "waiting" });
  assert.deepEqual(outlookOf(["a"], [of("a", "success"), of("a", "warning")], []), { state: "queued" });
  assert.deepEqual(outlookOf(["a", "b"], [of("a", "success")], []), { state: "waiting" });
  const reason = "'a' ended with error (#7)";
  assert.deepEqual(outlookOf(["a"], [of("a", null), of("a", "error", 7)], []), { state: "skipped", reason });
  const skipped = [{ name: "b", state: "skipped" }] as const;
  assert.deepEqual(outlookOf(["b"], [], skipped), { state: "skipped", reason: "'b' was skipped" });
});

test("the schema for editors in docs/ is that of the declarations", () => {
  const written: unknown = JSON.parse(readFileSync(packageFile("docs", "croft-yaml.schema.json"), "utf8"));
  assert.deepEqual(written, JSON.parse(JSON.stringify(editorSchema())));
});
