/** What the controller decides about builds beside its database: who gets what, and what becomes of a result. */
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { test } from "node:test";
import { Artifacts } from "../../../controller/builds/artifacts.ts";
import type { Build } from "../../../controller/builds/build.ts";
import { Builds, ConflictFailure } from "../../../controller/builds/builds.ts";
import { Changes, ChangeWaiter } from "../../../controller/builds/noting/changes.ts";
import { BuildQueue, type Setback, type WaitingQueue } from "../../../controller/builds/queue.ts";
import { Results, type BuildResult } from "../../../controller/builds/results.ts";
import type { Offer } from "../../../controller/builds/offer.ts";
import { isCurrent, type Session } from "../../../controller/builds/session.ts";
import { Sessions } from "../../../controller/builds/sessions.ts";
import type { Specification, Target } from "../../../controller/builds/specification.ts";
import { Failure } from "../../../os/failure.ts";
import { silentLog } from "../../../os/log.ts";
import { buildRow, DatabaseDouble, sessionRow, specification } from "./database-double.ts";

const log = silentLog();

const target = (name: string): Target => ({
  ...{ name, machine: "debian_*", toolchain: "gcc*", triplet: "x86_64-linux-gnu" },
  ...{ warnings: [], timeoutSeconds: 600 },
});

/** Builds of three targets, with a queue that notes what it is told. */
function buildsOf(answers: ConstructorParameters<typeof DatabaseDouble>[0] = {}) {
  const database = new DatabaseDouble(answers);
  const changes = new Changes();
  const told = new ChangeWaiter(changes, ["state"]);
  const queued: { queue: string; what: Specification; by: string | null; of: number | null }[] = [];
  const left: unknown[] = [];
  const queue = {
    ensure: async (key: { target: string; interactive: boolean }) =>
      `${key.target}${key.interactive ? " interactive" : ""}`,
    add: async (_sql: unknown, name: string, what: Specification, by: string | null, of: number | null) => {
      queued.push({ queue: name, what, by, of });
      return buildRow({ id: queued.length, state: "queued" });
    },
    move: async (_sql: unknown, build: Build, to: string) => void left.push([build.id, to]),
    count: async () => ({ queued: 3, building: 0, finished: 0, cancelled: 0 }),
  };
  const clearances = { of: async () => ({ isTrusted: false, isPrivate: false, hasSecrets: false }) };
  const targets = ["linux-gcc", "linux-clang", "arm-gcc"].map(target);
  const builds = new Builds(database, queue, targets, changes, clearances);
  return { builds, database, told, queued, left };
}

const submission = { name: "hello", version: "1.0", repository: "https://x.org/hello.git#v1", priority: 3 };

test("a submission queues a build for each target that a pattern names, once, and tells that they are there", async () => {
  const on = buildsOf();
  const builds = await on.builds.submit({ ...submission, targets: ["linux-*", "*-gcc"] }, "ann");
  assert.deepEqual(
    builds.map(({ id }) => id),
    [1, 2, 3],
  );
  assert.deepEqual(
    on.queued.map(({ queue, by, of }) => [queue, by, of]),
    [
      ["linux-gcc", "ann", null],
      ["linux-clang", "ann", null],
      ["arm-gcc", "ann", null],
    ],
  );
  assert.deepEqual(
    on.queued.map(({ what }) => what.target),
    ["linux-gcc", "linux-clang", "arm-gcc"],
  );
  assert.deepEqual(on.told.take(), [1, 2, 3]);
  await on.builds.submit({ ...submission, targets: ["arm-gcc"], interactive: "test" }, null);
  assert.equal(on.queued.at(-1)!.queue, "arm-gcc interactive");
});

test("a submission in which one pattern names no target, or without any, queues nothing", async () => {
  const on = buildsOf();
  for (const [targets, name] of [
    [["linux-*", "mips"], "mips"],
    [[], ""],
  ] as const)
    await assert.rejects(on.builds.submit({ ...submission, targets }, null), (error: unknown) => {
      assert.ok(error instanceof Failure);
      assert.equal(error.message, `Cannot submit hello: there is no target '${name}'`);
      assert.deepEqual(error.hints, ["Targets: linux-gcc, linux-clang, arm-gcc"]);
      return true;
    });
  await assert.rejects(on.builds.submit({ ...submission, version: "\u0001", targets: ["*"] }, null), Failure);
  assert.deepEqual([on.queued, on.told.take()], [[], []]);
});

test("a build is built again from what it was made of, and says of which it is", async () => {
  const on = buildsOf();
  const again = await on.builds.rebuild(buildRow({ id: 42 }), "bob");
  assert.equal(again.id, 1);
  assert.deepEqual(on.queued, [
    { queue: "linux-gcc", what: { ...specification, force: true }, by: "bob", of: 42 },
  ]);
});

test("a build is cancelled while it waits or is built; of one that has ended that cannot be asked", async () => {
  for (const state of ["queued", "building", "finished", "cancelled", undefined] as const) {
    const row = buildRow(state && { state });
    const on = buildsOf({ "select * from croft.builds where id": () => (state ? [row] : []) });
    const cancelled = on.builds.cancel(7);
    if (state === "queued" || state === "building") {
      await cancelled;
      assert.deepEqual([on.left, on.told.take()], [[[7, "cancelled"]], [7]]);
      const changed = on.database.statements.filter(({ text }) => text.startsWith("update"));
      assert.deepEqual(
        changed.map(({ values }) => values),
        [[7], [7]],
      );
      assert.ok(on.database.statements.every(({ isInTransaction }) => isInTransaction));
    } else {
      const message = `Cannot cancel build 7: it is ${state ?? "gone"}`;
      await assert.rejects(
        cancelled,
        (error) => error instanceof ConflictFailure && error.message === message,
      );
      assert.deepEqual([on.left, on.told.take()], [[], []]);
    }
  }
});

test("what is queued has each value in its column", async () => {
  const database = new DatabaseDouble({ "with counted as": () => [buildRow()] });
  const queue = new BuildQueue(database);
  assert.deepEqual(await queue.add(database, "q", specification, "ann", 42), buildRow());
  const { text, values } = database.statements[0]!;
  const [, columns, given] = /insert into croft\.builds \(([^)]*)\) values \((.*)\) returning/.exec(text)!;
  const valueOf = (written: string) =>
    written.startsWith("$") ? values[Number(written.slice(1)) - 1] : written;
  const names = columns!.split(", ");
  assert.deepEqual(Object.fromEntries(given!.split(", ").map((one, index) => [names[index], valueOf(one)])), {
    ...{ name: "hello", version: "1.0", target: "linux-gcc", repository: "https://x.org/hello.git#v1" },
    ...{ specification: JSON.stringify(specification), queue: "q", priority: 3, queue_priority: 3 },
    ...{ state: "'queued'", submitted_by: "ann", rebuild_of: 42, rank: "(select rank from turn)" },
    ...{ croft_only: false, is_trusted: false, is_private: false, tree: null },
  });
});

test("a queue is made once, and its name tells its target; everything that is of it makes another one", async () => {
  const database = new DatabaseDouble();
  const queue = new BuildQueue(database);
  const key = { target: "linux gcc", machine: "debian_*", toolchain: "gcc*", interactive: false };
  const name = await queue.ensure(key);
  assert.match(name, /^linux_gcc-[0-9a-f]{16}$/);
  assert.equal(await queue.ensure(key), name);
  assert.deepEqual(
    database.statements.map(({ values }) => values),
    [[name, "linux gcc", "debian_*", "gcc*", false, null, null, false, false, false]],
  );
  const others = [
    { target: "linux_gcc" },
    { machine: "debian_13" },
    { toolchain: "gcc" },
    { interactive: true },
    { private: true },
    { variables: true },
    { trees: true },
    { auxiliary: { db: "*-postgresql" } },
  ];
  const names = await Promise.all(others.map((other) => queue.ensure({ ...key, ...other })));
  assert.equal(new Set([name, ...names]).size, 9);
});

const offer: Offer = {
  agent: "host",
  toolchain: "gcc_12",
  interactive: "false",
  machines: ["fedora", "debian_13"],
};

/** Sessions of a controller with these queues, each with one build. */
function sessionsOf(
  waiting: readonly Partial<WaitingQueue>[],
  answers: ConstructorParameters<typeof DatabaseDouble>[0] = {},
  withChallenge = false,
  leaseMarginSeconds = 60,
  build: Partial<Build> = {},
) {
  const database = new DatabaseDouble({
    "insert into croft.sessions": () => [sessionRow({ id: 71 })],
    ...answers,
  });
  const changes = new Changes();
  const told = new ChangeWaiter(changes, ["state"]);
  const key = { name: "q", target: "linux-gcc", machine: "debian_*", toolchain: "gcc*", interactive: false };
  const queue = {
    waiting: async () => waiting.map((more) => ({ ...key, ...more })),
    take: async (_sql: unknown, { name }: Pick<WaitingQueue, "name">) =>
      name === "empty" ? undefined : buildRow({ queue: name, session: 70, ...build }),
  };
  const settings = {
    leaseMarginSeconds,
    withChallenge: () => withChallenge,
    interactiveTimeoutSeconds: 9000,
  };
  const isOfferedElsewhere = () => false;
  const sessions = new Sessions({ database, queue, changes, isOfferedElsewhere }, settings);
  const opened = () =>
    database.statements.filter(({ text }) => text.startsWith("insert into croft.sessions"));
  return { sessions, database, told, opened };
}

test("a build goes to an agent whose toolchain and machine fit it; of the machines the first that does", async () => {
  const on = sessionsOf([
    { name: "clang", toolchain: "clang*" },
    { name: "mips", machine: "mips*" },
    { name: "empty" },
    {},
  ]);
  const machines = ["fedora", "debian_13", "debian_12"];
  const builtWith = { machineIds: new Map([["debian_13", "debian_13-1.2"]]), toolchainVersion: "12.2.0" };
  const assignment = await on.sessions.assign({ ...offer, machines }, undefined, builtWith);
  assert.deepEqual(
    [assignment?.build.queue, assignment?.build.session, assignment?.session.id],
    ["q", 71, 71],
  );
  const { values, isInTransaction } = on.opened()[0]!;
  assert.ok(isInTransaction);
  const [token, ...rest] = values;
  const made = ["debian_13-1.2", "12.2.0"];
  assert.match(String(token), /^[A-Za-z0-9_-]{32}$/);
  assert.deepEqual(rest, [7, 1, "host", "gcc_12", "debian_13", null, null, 660, null, null, ...made]);
  assert.deepEqual(on.told.take(), [7]);
});

test("an agent that nothing fits gets nothing", async () => {
  const on = sessionsOf([{ toolchain: "clang*" }, { name: "empty" }]);
  assert.equal(await on.sessions.assign(offer), undefined);
  assert.deepEqual([on.opened(), on.told.take()], [[], []]);
});

test("an interactive build goes to who takes such, and another one to who takes not only such", async () => {
  for (const [taken, interactive] of [
    [[false], "false"],
    [[true], "true"],
    [[false, true], "both"],
  ] as const)
    for (const wanted of [false, true]) {
      const on = sessionsOf([{ interactive: wanted }]);
      const assignment = await on.sessions.assign({ ...offer, interactive });
      assert.equal(
        assignment !== undefined,
        taken.some((one) => one === wanted),
        `${interactive} ${wanted}`,
      );
    }
});

test("an agent that is known by its key gets a challenge, a new one each time", async () => {
  const challenges = [];
  for (let count = 0; count < 2; count++) {
    const on = sessionsOf([{}], {}, true);
    await on.sessions.assign({ ...offer, fingerprint: "f" });
    const { values } = on.opened()[0]!;
    assert.equal(values[6], "f");
    challenges.push(values[7]);
    assert.match(String(values[7]), /^[0-9a-f]{64}$/);
  }
  assert.notEqual(challenges[0], challenges[1]);
});

test("the database is not asked for a session by a text that is none", async () => {
  const on = sessionsOf([], { "select * from croft.sessions where token": () => [sessionRow()] });
  for (const token of ["", "a b", "\0", "x".repeat(65)])
    assert.equal(await on.sessions.find(token), undefined);
  assert.equal(on.database.statements.length, 0);
  assert.equal((await on.sessions.find("abc_-9"))?.id, 70);
  assert.deepEqual(on.database.statements[0]!.values, ["abc_-9"]);
});

test("a build is leased for what its target gives it, an interactive one for what a person gets", async () => {
  for (const [interactive, seconds] of [
    [{}, 660],
    [{ interactive: "test" }, 9060],
  ] as const) {
    const on = sessionsOf([{}], {}, false, 60, { specification: { ...specification, ...interactive } });
    await on.sessions.assign(offer, 60);
    assert.deepEqual(on.opened()[0]!.values.slice(8, 10), [seconds, 60]);
  }
});

/** Stores a result of a session, as the row in the database is by then; what became of its build. */
async function store(
  result: Partial<BuildResult>,
  {
    session = {},
    row = session,
    aborts = 0,
    state = "building",
  }: { session?: Partial<Session>; row?: Partial<Session>; aborts?: number; state?: Build["state"] } = {},
) {
  const database = new DatabaseDouble({
    "select * from croft.builds": () => [buildRow({ aborts, state })],
    "select * from croft.sessions": () => [sessionRow(row)],
  });
  const changes = new Changes();
  const told = new ChangeWaiter(changes, ["state"]);
  const queue: unknown[] = [];
  const blobs = {
    store: async (content: Uint8Array) => ({ digest: `digest of ${String(content)}`, bytes: content.length }),
    hold: async () => {},
  };
  const noting = {
    putBack: async (_sql: unknown, build: Build, { kind }: Setback) =>
      void queue.push(["again", build.id, kind]),
    move: async (_sql: unknown, build: Build, to: string) => void queue.push([to, build.id]),
  };
  const faults = {
    add: async (_sql: unknown, { id }: Build, { agent }: Session, reason: string) =>
      void queue.push(["fault", id, agent, reason]),
  };
  const liveLogs = { finish: () => Promise.resolve() };
  const secrets = { of: () => Promise.resolve(["s3cret"]) };
  const results = new Results({ database, queue: noting, faults, blobs, liveLogs, secrets, changes }, 1, log);
  const whole = { version: "1.0", status: "success", operations: [], ...result };
  const outcome = await results.store(sessionRow(session), whole);
  const written = (beginning: string) =>
    database.statements.filter(({ text }) => text.startsWith(beginning)).map(({ values }) => values);
  return { outcome, queue, told: told.take(), database, written };
}

test("a result ends its build, with its logs and what they report", async () => {
  const checksums = { workerChecksum: "w", dependencyChecksum: "d", agentChecksum: "a" };
  const operations = [
    { name: "update", status: "success", log: "fine\n" },
    { name: "test", status: "warning", log: "x\nwarning: y\nerror: z\n" },
  ];
  const on = await store({ status: "warning", operations, ...checksums });
  assert.deepEqual([on.outcome, on.told, on.queue], ["stored", [7], [["finished", 7]]]);
  const [[id, status, digest, ...rest]] = on.written("update croft.sessions") as [unknown[]];
  assert.deepEqual([id, status, rest], [70, "warning", ["w", "d", "a"]]);
  assert.match(String(digest), /^[0-9a-f]{64}$/);
  assert.deepEqual(on.written("insert into croft.operations"), [
    [70, 0, "update", "success", "digest of fine\n", 5, 1, 0, 0],
    [70, 1, "test", "warning", "digest of x\nwarning: y\nerror: z\n", 22, 3, 1, 1],
  ]);
  assert.deepEqual(on.written("update croft.builds"), [[7, "warning", 0, "1.0", 70]]);
  assert.ok(
    on.database.statements.every(({ isInTransaction }) => isInTransaction),
    "all or nothing",
  );
});

test("an interrupted build is queued again whatever else it was, an aborted one as often as told", async () => {
  assert.deepEqual((await store({ status: "interrupt" })).queue, [["again", 7, "interrupt"]]);
  assert.deepEqual((await store({ status: "interrupt" }, { aborts: 9 })).queue, [["again", 7, "interrupt"]]);
  assert.deepEqual((await store({ status: "abort" })).queue, [["again", 7, "abort"]]);
  const last = await store({ status: "abort" }, { aborts: 1 });
  assert.deepEqual(
    [last.queue, last.written("update croft.builds")],
    [[["finished", 7]], [[7, "abort", 2, "1.0", 70]]],
  );
});

test("an abort of the agent's own is a fault of its host, once; that of a machine, or another status, is not", async () => {
  const own = { name: "agent", status: "abort", log: "no room for s3cret\n" };
  const told = { status: "abort", operations: [own], agentChecksum: "croft-1" };
  assert.deepEqual((await store(told, { aborts: 9 })).queue, [["fault", 7, "host", "no room for ******"]]);
  assert.deepEqual(
    (await store(told, { session: { state: "expired" } })).queue,
    [],
    "it was counted as lost",
  );
  // Through agents of other makes, machines can say it.
  for (const agentChecksum of ["1", "croft-", "xcroft-1"])
    assert.deepEqual((await store({ ...told, agentChecksum })).queue, [["again", 7, "abort"]]);
  for (const name of ["machine", "update"])
    assert.deepEqual((await store({ ...told, operations: [{ ...own, name }] })).queue, [
      ["again", 7, "abort"],
    ]);
  const noted = { ...own, status: "success" };
  assert.deepEqual((await store({ ...told, operations: [noted] })).queue, [["again", 7, "abort"]]);
  assert.deepEqual((await store({ ...told, status: "abnormal" })).queue, [["finished", 7]]);
});

test("a result is stored once, as long as its session is the build's; its lease need not last", async () => {
  assert.deepEqual(
    ["active", "expired", "finished", "superseded", "cancelled"].map((state) =>
      isCurrent(sessionRow({ state: state as Session["state"] })),
    ),
    [...[true, true, false, false, false]],
  );
  const first = await store({}, { session: { state: "expired" } });
  const [[, , digest]] = first.written("update croft.sessions") as [unknown[]];
  const finished = { state: "finished", result_digest: String(digest) } as const;
  const repeated = await store({}, { session: finished });
  assert.deepEqual([repeated.outcome, repeated.database.statements, repeated.told], ["stored", [], []]);
  const meanwhile = await store({}, { row: finished });
  assert.deepEqual([meanwhile.outcome, meanwhile.queue], ["stored", []]);
  assert.equal(
    (await store({ status: "error" }, { session: finished })).outcome,
    "gone",
    "it is another result",
  );
  for (const state of ["superseded", "cancelled"] as const) {
    const late = await store({}, { session: { state } });
    assert.deepEqual([late.outcome, late.database.statements], ["gone", []]);
    const changed = await store({}, { row: { state } });
    assert.deepEqual([changed.outcome, changed.queue, changed.told], ["gone", [], []]);
  }
});

test("of a build that another agent has by now, an expired session ends what it can tell of the package only", async () => {
  const expired = { session: { state: "expired" } } as const;
  const fault = { name: "agent", status: "abort", log: "no room\n" };
  for (const [result, whileBuilt, whileQueued] of [
    [{ status: "success" }, [["finished", 7]], [["finished", 7]]],
    [{ status: "error" }, [["finished", 7]], [["finished", 7]]],
    [{ status: "interrupt" }, [], [["again", 7, "interrupt"]]],
    [{ status: "abort" }, [], [["again", 7, "abort"]]],
    [{ status: "abort", operations: [fault], agentChecksum: "croft-1" }, [], []],
  ] as const) {
    const built = await store(result, expired);
    assert.deepEqual([built.outcome, built.queue], ["stored", whileBuilt], result.status);
    const queued = await store(result, { ...expired, state: "queued" });
    assert.deepEqual([queued.outcome, queued.queue], ["stored", whileQueued], result.status);
  }
  const ended = await store({ status: "success" }, expired);
  const others = "update croft.sessions set state = 'superseded'";
  assert.deepEqual(ended.written(others), [[7, 70]], "the other agents are told");
  assert.deepEqual((await store({ status: "interrupt" }, expired)).written(others), []);
});

test("results differ by version, status, and by name, status and log of each operation", async () => {
  const operation = { name: "test", status: "success", log: "ab" };
  const variants: Partial<BuildResult>[] = [
    ...[{}, { version: "2" }, { status: "warning" }, { operations: [operation] }],
    ...Object.keys(operation).map((key) => ({ operations: [{ ...operation, [key]: "other" }] })),
    { operations: [{ ...operation, status: "successa", log: "b" }] },
    { operations: [operation, operation] },
  ];
  const digests = new Set();
  for (const variant of variants) digests.add((await store(variant)).written("update croft.sessions")[0]![2]);
  assert.equal(digests.size, variants.length);
});

test("artifacts are kept while their session is the build's, and found by content, then by name", async () => {
  for (const state of ["active", "superseded"] as const) {
    const database = new DatabaseDouble({ "select * from croft.sessions": () => [sessionRow({ state })] });
    let kept = 0;
    const incoming = {
      ...{ digest: "d", bytes: 3, file: "f" },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const blobs = {
      open: () => Promise.resolve(createReadStream("/dev/null")),
      keep: async (received: readonly unknown[]) => void (kept += received.length),
      hold: async () => {},
    };
    const artifacts = new Artifacts(database, blobs, { of: async () => [] });
    assert.equal(
      await artifacts.add(sessionRow(), "artifact", [{ name: "a", incoming }]),
      state === "active",
    );
    assert.equal(kept, 1, "before its row says that it is there");
    const rows = database.statements
      .filter(({ text }) => text.startsWith("insert"))
      .map(({ values }) => values);
    assert.deepEqual(rows, state === "active" ? [[70, "artifact", "a", "d", 3]] : []);
  }
  const artifact = (name: string, digest: string) => ({
    ...{ session: 70, type: "artifact", bytes: 3, created_at: new Date(0) },
    name,
    digest,
  });
  const database = new DatabaseDouble({
    "select a.*": () => [artifact("a", "x"), artifact("b", "d"), artifact("c", "d")],
  });
  const read: string[] = [];
  const blobs = {
    open: (digest: string) => Promise.resolve(createReadStream("/dev/null", { end: read.push(digest) })),
    keep: async () => {},
    hold: async () => {},
  };
  const artifacts = new Artifacts(database, blobs, { of: async () => [] });
  const found = async (digest: string, name: string) => (await artifacts.find(7, digest, name))?.name;
  assert.deepEqual(
    [await found("d", "c"), await found("d", "other"), await found("none", "a")],
    ["c", "b", undefined],
  );
  assert.deepEqual(database.statements[0]!.values, [7]);
  (await artifacts.open(artifact("b", "d"))).destroy();
  assert.deepEqual(read, ["d"]);
});
