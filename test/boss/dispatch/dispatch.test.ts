/** Dispatch under every order of events that chance makes; the workers are simulated, message by message. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Response } from "../../../worker/protocol.ts";
import { Random } from "../../manifests/random.ts";
import { SimulatedWorker, makeWorld, deliver, deliverAll, resultOf } from "./simulated-world.ts";

test("every target is built once, and fast workers take more by themselves", () => {
  const world = makeWorld({ targets: 20, commits: 3 });
  world.add(new SimulatedWorker("a", 3), 2);
  world.add(new SimulatedWorker("b", 3), 2);
  for (let step = 0; step < 400; step++) {
    for (let times = 0; times < 4; times++) deliver(world, "a");
    deliver(world, "b");
  }
  assert.equal(world.stored.size, 60);
  assert.ok([...world.stored.values()].every((count) => count === 1));
  assert.ok(world.dispatch.isOver);
  const boards = (name: string) => world.sent.get(name)!.filter(({ cmd }) => cmd === "build_board").length;
  assert.ok(boards("a") > 2 * boards("b"), `${boards("a")} and ${boards("b")}`);
});

test("no more targets than slots are in flight, and the queue is drained as soon as nothing is left", () => {
  const world = makeWorld({ targets: 3, commits: 1 });
  world.add(new SimulatedWorker("a", 1), 2);
  deliver(world, "a");
  assert.deepEqual(
    world.sent.get("a")!.map(({ cmd }) => cmd),
    ["build_prepare", "build_board", "build_board"],
  );
  deliver(world, "a"); // a heartbeat
  deliver(world, "a"); // the first result
  assert.deepEqual(
    world.sent
      .get("a")!
      .slice(3)
      .map(({ cmd }) => cmd),
    ["build_board", "build_done"],
  );
});

test("what a lost worker had in flight is built by another, without the commits that have arrived", () => {
  const world = makeWorld({ targets: 1, commits: 4 });
  world.add(new SimulatedWorker("a", 4), 1);
  for (let step = 0; step < 4; step++) deliver(world, "a"); // prepared, a heartbeat, two results
  world.add(new SimulatedWorker("b", 4), 1);
  assert.equal(world.sent.get("b"), undefined);
  world.workers.delete("a");
  world.dispatch.loseWorker("a", "killed");
  deliverAll(world);
  const board = world.sent.get("b")!.find(({ cmd }) => cmd === "build_board");
  assert.deepEqual(board, { cmd: "build_board", board: "t0", arch: "sandbox", commits: [2, 3] });
  assert.equal(world.stored.size, 4);
  assert.ok(world.dispatch.isOver);
});

test("a target that was in flight on two lost workers is given up", () => {
  const world = makeWorld({ targets: 1, commits: 1 });
  for (const name of ["a", "b"]) {
    world.add(new SimulatedWorker(name, 1), 1);
    deliver(world, name); // it is prepared, and given the target
    assert.ok(!world.dispatch.isOver);
    world.workers.delete(name);
    world.dispatch.loseWorker(name, `${name} was killed`);
  }
  assert.deepEqual([...world.givenUp.keys()], [0]);
  assert.match(world.givenUp.get(0)!, /2 workers.*b was killed/);
  assert.ok(world.dispatch.isOver);
});

test("a target that a worker leaves out silently goes back to the pool once", () => {
  const world = makeWorld({ targets: 2, commits: 1 });
  world.add(new SimulatedWorker("a", 1, (board) => board === "t1"), 2);
  deliverAll(world);
  assert.deepEqual([...world.givenUp.keys()], [1]);
  assert.equal(world.sent.get("a")!.filter(({ cmd }) => cmd === "build_prepare").length, 2);
  assert.ok(world.dispatch.isOver);
});

test("a worker that keeps its slots for targets it leaves out is drained though others' targets wait; they go elsewhere", () => {
  const world = makeWorld({ targets: 3, commits: 1, arch: (at) => (at < 2 ? "sandbox" : "strange") });
  world.add(new SimulatedWorker("full", 1, () => true), 2);
  deliverAll(world);
  world.add(new SimulatedWorker("good", 1), 1);
  deliverAll(world);
  assert.deepEqual(world.dispatch.remaining, [2]);
  assert.equal(world.stored.size + world.givenUp.size, 2);
  assert.ok(world.dispatch.isOver);
});

test("what a worker has left out is not for it again while there are others", () => {
  const world = makeWorld({ targets: 2, commits: 1 });
  world.add(new SimulatedWorker("full", 1, () => true), 1);
  world.add(new SimulatedWorker("good", 1), 1);
  deliverAll(world);
  assert.deepEqual([world.stored.size, world.givenUp.size], [2, 0]);
});

const bison = "sh: 1: bison: not found";
const never = () => false;

for (const batch of [false, true])
  test(`what fails for its host is built elsewhere, the same commits only${batch ? ", in batch mode" : ""}`, () => {
    const world = makeWorld({ targets: 6, commits: 2, batch });
    world.add(new SimulatedWorker("bad", 2, never, (_, commit) => (commit === 1 ? bison : undefined)), 2);
    world.add(new SimulatedWorker("good", 2), 1);
    if (batch) world.dispatch.share();
    deliverAll(world);
    assert.ok(world.dispatch.isOver);
    assert.equal(world.stored.size, 12);
    assert.ok([...world.stored.values()].every((count) => count === 1));
    assert.deepEqual(new Set(world.codes.values()), new Set([0]));
    assert.ok(world.doubts.length > 0);
    assert.ok(world.doubts.every((text) => /^bad t\d: sh: 1: bison: not found$/.test(text)));
  });

test("a host that fails one target after the other for its own fault gets no more while others can build them", () => {
  const world = makeWorld({ targets: 40, commits: 1 });
  world.add(
    new SimulatedWorker(
      "bad",
      1,
      () => false,
      () => bison,
    ),
    1,
  );
  world.add(new SimulatedWorker("good", 1), 1);
  for (let step = 0; step < 100; step++) for (let times = 0; times < 4; times++) deliver(world, "bad");
  assert.deepEqual([world.doubts.length, world.setAside], [5, ["bad: sh: 1: bison: not found"]]);
  deliverAll(world);
  assert.ok(world.dispatch.isOver);
  assert.deepEqual([...world.codes.values()], Array(40).fill(0));
  assert.equal(world.doubts.length, 5, "it was given no more");
});

test("faults now and then do not set a host aside, and one that was builds on when it is the last", () => {
  const [mostly, world] = [
    (board: string) => (board.endsWith("0") ? undefined : bison),
    makeWorld({ targets: 40, commits: 1 }),
  ];
  world.add(
    new SimulatedWorker(
      "now and then",
      1,
      () => false,
      (board) => (board.endsWith("3") ? bison : undefined),
    ),
    1,
  );
  world.add(new SimulatedWorker("silent", 1, () => true), 1);
  for (let step = 0; step < 200; step++) deliver(world, "now and then");
  assert.deepEqual([world.doubts.length, world.setAside], [4, []]);

  const last = makeWorld({ targets: 20, commits: 1 });
  last.add(new SimulatedWorker("bad", 1, () => false, mostly), 1);
  last.add(new SimulatedWorker("good", 1, () => true), 1);
  for (let step = 0; step < 100; step++) deliver(last, "bad");
  assert.equal(last.setAside.length, 1);
  last.workers.delete("good");
  last.dispatch.loseWorker("good", "killed");
  deliverAll(last);
  assert.ok(last.dispatch.isOver);
  assert.equal(last.stored.size, 20);
});

test("a target whose commits all fail so, or targets that fail so everywhere, are no fault of a host", () => {
  const one = makeWorld({ targets: 2, commits: 9 });
  one.add(
    new SimulatedWorker(
      "a",
      9,
      () => false,
      (board) => (board === "t0" ? bison : undefined),
    ),
    1,
  );
  one.add(new SimulatedWorker("b", 9), 1);
  deliverAll(one);
  assert.deepEqual([one.doubts.length, one.setAside], [9, []]);

  const all = makeWorld({ targets: 40, commits: 1 });
  for (const name of ["a", "b"])
    all.add(
      new SimulatedWorker(
        name,
        1,
        () => false,
        () => bison,
      ),
      1,
    );
  for (let step = 0; step < 400; step++) for (const name of ["a", "b"]) deliver(all, name);
  deliverAll(all);
  assert.deepEqual(all.codes.size, 40);
});

test("what fails everywhere, or on the only host, has failed", () => {
  for (const names of [["a"], ["a", "b"], ["a", "b", "c"]]) {
    const world = makeWorld({ targets: 3, commits: 2 });
    for (const name of names) world.add(new SimulatedWorker(name, 2, never, () => bison), 1);
    deliverAll(world);
    assert.ok(world.dispatch.isOver);
    assert.deepEqual([...world.codes.values()], Array(6).fill(2));
    assert.equal(world.doubts.length, 6 * (names.length - 1), "each of the others once");
  }
});

test("what two hosts fail and a third can build is no failure, whether their faults are the same or not", () => {
  for (const other of [bison, "gcc: fatal error: Killed signal terminated program cc1"]) {
    const world = makeWorld({ targets: 40, commits: 1 });
    world.add(new SimulatedWorker("a", 1, never, () => bison), 1);
    world.add(new SimulatedWorker("b", 1, never, () => other), 1);
    world.add(new SimulatedWorker("good", 1), 1);
    for (let step = 0; step < 200; step++) for (const name of ["a", "b"]) deliver(world, name);
    deliverAll(world);
    assert.ok(world.dispatch.isOver);
    assert.deepEqual([...world.codes.values()], Array(40).fill(0));
    assert.deepEqual(world.setAside.map((text) => text[0]).sort(), ["a", "b"]);
  }
});

test("a program that is missing on all hosts is not looked for on each of them for each target", () => {
  const world = makeWorld({ targets: 40, commits: 1 });
  for (const name of ["a", "b", "c"]) world.add(new SimulatedWorker(name, 1, never, () => bison), 1);
  for (let step = 0; step < 400; step++) for (const name of ["a", "b", "c"]) deliver(world, name);
  assert.ok(world.dispatch.isOver);
  assert.deepEqual([...world.codes.values()], Array(40).fill(2));
  assert.ok(world.doubts.length < 10, `${world.doubts.length} doubts`);
  assert.deepEqual(world.setAside, []);
});

test("a failure in doubt becomes a result when the last worker that could build it is lost, or does not come", () => {
  for (const lose of [true, false]) {
    const world = makeWorld({ targets: 1, commits: 1 });
    if (lose) world.add(new SimulatedWorker("good", 1, () => true), 1, [], 1);
    else world.dispatch.expectWorker();
    world.add(new SimulatedWorker("bad", 1, never, () => bison), 1);
    if (lose) {
      deliver(world, "good"); // it is given the target, and says nothing
      world.add(new SimulatedWorker("worse", 1, never, () => bison), 1);
      world.workers.delete("good");
      world.dispatch.loseWorker("good", "killed");
    }
    deliverAll(world);
    if (!lose) {
      assert.ok(!world.dispatch.isOver, "somebody may come who can build it");
      world.dispatch.forgetWorker();
    }
    assert.ok(world.dispatch.isOver);
    assert.deepEqual([...world.codes.values()], [2]);
  }
});

test("targets go to workers with their toolchain, and remain if there is none", () => {
  const world = makeWorld({ targets: 9, commits: 1, arch: (at) => ["sandbox", "arm", "riscv"][at % 3]! });
  world.add(new SimulatedWorker("a", 1), 4);
  world.add(new SimulatedWorker("b", 1), 4, ["arm"]);
  deliverAll(world);
  assert.equal(world.stored.size, 6);
  assert.ok(world.dispatch.isOver);
  assert.deepEqual(world.dispatch.remaining, [2, 5, 8]);
  const given = world.sent
    .get("a")!
    .flatMap((command) => (command.cmd === "build_board" ? [command.arch] : []));
  assert.deepEqual(new Set(given), new Set(["sandbox"]));
});

test("in batch mode shares follow the capacity, and a lost worker's share goes to the others", () => {
  const world = makeWorld({ targets: 40, commits: 1, batch: true });
  world.add(new SimulatedWorker("a", 1), 4, [], 3);
  world.add(new SimulatedWorker("b", 1), 4, [], 1);
  world.dispatch.share();
  const share = (name: string) => {
    const [command] = world.sent.get(name)!;
    return command?.cmd === "build_boards" ? command.boards.length : 0;
  };
  assert.deepEqual([share("a"), share("b")], [30, 10]);
  world.workers.delete("a");
  world.dispatch.loseWorker("a", "killed");
  deliverAll(world);
  assert.equal(world.stored.size, 40);
  assert.ok(world.dispatch.isOver);
});

test("in batch mode only what a lost worker had begun is suspected", () => {
  const world = makeWorld({ targets: 5, commits: 2, batch: true });
  for (const name of ["a", "b"]) {
    world.add(new SimulatedWorker(name, 2), 4);
    world.dispatch.share();
    world.dispatch.receive(name, { resp: "heartbeat", board: "t0", thread: 0 });
    world.workers.delete(name);
    world.dispatch.loseWorker(name, "killed");
  }
  assert.deepEqual([...world.givenUp.keys()], [0]);
  world.add(new SimulatedWorker("c", 2), 4);
  world.dispatch.share();
  deliverAll(world);
  assert.equal(world.stored.size, 8);
});

test("results that nobody asked for are dropped, and noted; so is an answer that does not belong there", () => {
  const world = makeWorld({ targets: 2, commits: 2, isBuilt: (target) => target === 0 });
  const { dispatch, notes } = world;
  world.add(new SimulatedWorker("a", 2), 1);
  const finished: Response = { resp: "build_done", exceptions: 0 };
  assert.equal(dispatch.receive("a", finished), undefined);
  deliver(world, "a");
  for (const result of [resultOf("t0", 0), resultOf("elsewhere", 0), resultOf("t1", 7)])
    assert.equal(dispatch.receive("a", result), undefined);
  assert.equal(world.stored.size, 0);
  for (let twice = 0; twice < 2; twice++) dispatch.receive("a", resultOf("t1", 0));
  dispatch.receive("a", { resp: "build_prepare_done" });
  assert.equal(dispatch.receive("nobody", finished), undefined);
  assert.deepEqual(notes, [
    "a: build_done was not expected",
    "a: result of 't0', which it was not given",
    "a: result of 'elsewhere', which it was not given",
    "a: result of 't1' that is there already",
    "a: result of 't1' that is there already",
    "a: build_prepare_done was not expected",
  ]);
  dispatch.receive("a", resultOf("t1", 1));
  assert.deepEqual(
    [...world.stored.entries()],
    [
      ["1 0", 1],
      ["1 1", 1],
    ],
  );
});

test("a worker that reports an error is to be dropped for it", () => {
  const world = makeWorld({ targets: 1, commits: 1 });
  world.add(new SimulatedWorker("a", 1), 1);
  assert.equal(world.dispatch.receive("a", { resp: "error", msg: "no make" }), "no make");
});

test("what a worker is doing can be seen: its phase, what it has, and how much it was given and has completed", () => {
  const world = makeWorld({ targets: 3, commits: 1 });
  const seen = () => {
    const { phase, inFlight, done, sent } = world.dispatch.workerState("a")!;
    return [phase, [...inFlight], done, sent];
  };
  world.add(new SimulatedWorker("a", 1), 2);
  assert.deepEqual(seen(), ["preparing", [], 0, 0]);
  deliver(world, "a");
  assert.deepEqual(seen(), ["building", [0, 1], 0, 2]);
  for (let step = 0; step < 2; step++) deliver(world, "a"); // a heartbeat, and the first result
  assert.deepEqual([seen(), world.completed], [["finishing", [1, 2], 1, 3], ["a: 0"]]);
  deliverAll(world);
  assert.deepEqual(
    [seen(), world.completed],
    [
      ["idle", [], 3, 3],
      ["a: 0", "a: 1", "a: 2"],
    ],
  );
  assert.equal(world.dispatch.workerState("b"), undefined);
});

test("workers that are being started are waited for, each until it is there or forgotten", () => {
  const { dispatch, add } = makeWorld({ targets: 1, commits: 1, arch: () => "arm" });
  assert.ok(dispatch.isOver, "nobody could build it");
  for (let count = 0; count < 3; count++) dispatch.expectWorker();
  add(new SimulatedWorker("unexpected", 1), 1);
  dispatch.addWorker({ name: "a", slots: 1, architectures: new Set(), capacity: 1 }, true);
  dispatch.forgetWorker();
  assert.equal(dispatch.isOver, false, "one is still to come");
  dispatch.addWorker({ name: "b", slots: 1, architectures: new Set(), capacity: 1 }, true);
  assert.ok(dispatch.isOver);
  assert.deepEqual(dispatch.remaining, [0]);
});

for (const batch of [false, true])
  test(`no order of events loses or doubles a target${batch ? " in batch mode" : ""}`, () => {
    for (let seed = 1; seed <= 500; seed++) chaos(new Random(seed), seed, batch);
  });

function chaos(random: Random, seed: number, batch: boolean): void {
  const upTo = (limit: number) => random.below(limit);
  const chance = (share: number) => random.below(1000) < 1000 * share;
  const commits = 1 + upTo(4);
  const built = new Set<string>();
  const isBuilt = (target: number, commit: number) => {
    const is = chance(0.2);
    if (is) built.add(`${target} ${commit}`);
    return is;
  };
  const world = makeWorld({
    targets: 1 + upTo(20),
    commits,
    batch,
    isBuilt,
    arch: () => (chance(0.7) ? "sandbox" : "arm"),
  });
  let made = 0;
  const addOne = (last: boolean) => {
    const skips = last ? () => false : () => chance(0.05);
    const fault = () => (chance(0.1) ? "sh: 1: bison: not found\n" : undefined);
    const name = `w${made++}`;
    const worker = new SimulatedWorker(name, commits, skips, last ? undefined : fault);
    world.add(worker, 1 + upTo(4), last || chance(0.5) ? ["arm"] : [], 1 + upTo(9));
    if (batch) world.dispatch.share();
  };
  addOne(false);
  for (let step = 0; step < 60; step++) {
    const names = [...world.workers.keys()];
    const name = names[upTo(names.length)];
    if (made < 12 && chance(0.06)) addOne(false);
    else if (chance(0.04) && name !== undefined) {
      world.workers.delete(name);
      world.dispatch.loseWorker(name, "chance");
    } else if (name !== undefined) deliver(world, name);
  }
  addOne(true);
  deliverAll(world);
  assert.ok(world.dispatch.isOver, `seed ${seed}: not over`);
  for (const target of world.matrix.targets.keys())
    for (let commit = 0; commit < commits; commit++) {
      const cell = `${target} ${commit}`;
      const times = world.stored.get(cell) ?? 0;
      const expected = built.has(cell) ? 0 : 1;
      if (!world.givenUp.has(target)) assert.equal(times, expected, `seed ${seed}: cell ${cell}`);
      else assert.ok(times <= expected, `seed ${seed}: cell ${cell}`);
    }
}
