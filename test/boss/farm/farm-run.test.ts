/** Building through a controller, which is one in memory here. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Failure } from "../../../os/failure.ts";
import { combineObservers } from "../../../boss/dispatch/observers.ts";
import { ConnectionFailure } from "../../../controller/client/connection.ts";
import type { FarmBuild, FarmBuildDetails } from "../../../boss/farm/controller.ts";
import { runThroughController, type FarmRunOptions } from "../../../boss/farm/farm-run.ts";
import { Matrix } from "../../../boss/matrix/matrix.ts";

/** Ends builds at once, as it is told to. */
class ControllerInMemory {
  readonly base = "http://farm";
  readonly submitted: { name: string; repository: string; targets: string[]; config: string }[] = [];
  readonly cancelled: number[] = [];
  /** Before each question. */
  onAsk: () => void = () => {};
  /** What a build leaves, by name; undefined: it is still queued. */
  filesOf: (build: number) => Record<string, string> | undefined = () => ({ done: "0\n" });
  names = ["debian"];

  targets = () => Promise.resolve(this.names);

  submit = (body: object) => {
    this.onAsk();
    this.submitted.push(body as (typeof this.submitted)[number]);
    return Promise.resolve([this.#build(this.submitted.length)]);
  };

  list = () => {
    this.onAsk();
    const builds = this.submitted.map((_, at) => this.#build(at + 1)).reverse();
    return Promise.resolve({ builds, next: null });
  };

  details = (id: number): Promise<FarmBuildDetails> =>
    Promise.resolve({
      ...this.#build(id),
      waiting: null,
      attempts: [{ attempt: 1, agent: "host-1", machine: "debian_13", status: "success" }],
      operations: [{ name: "fetch", status: "error", logUrl: `http://elsewhere/api/v1/log/${id}` }],
      artifacts: Object.keys(this.filesOf(id) ?? {}).map((name) => ({
        ...{ attempt: 1, name: `croft-result-${name}`, sha256: "", url: `${id}/${name}` },
      })),
    });

  cancel = (id: number) => {
    this.cancelled.push(id);
    return Promise.resolve();
  };

  text = (path: string) => {
    const [id, name = ""] = path.split("/");
    return Promise.resolve(this.filesOf(Number(id))?.[name] ?? "==> fetch\nfatal: not here\n==> end\n");
  };

  #build(id: number): FarmBuild {
    const state = this.filesOf(id) === undefined ? "queued" : "finished";
    return { id, url: `http://farm/builds/${id}`, target: "debian", state, status: state && "success" };
  }
}

function optionsFor(controller: ControllerInMemory, targets: number, more: Partial<FarmRunOptions> = {}) {
  const [told, pages]: [string[], string[]] = [[], []];
  const names = Array.from({ length: targets }, (_, at) => ({ name: `t${at}`, arch: "sandbox" }));
  const commits = ["a", "b"].map((digit) => ({ hash: digit.repeat(40), subject: digit }));
  const observer = combineObservers([
    {
      result: ({ name }, target, commit, { return_code, stderr, sizes, config }) =>
        told.push(`${name} ${target} ${commit}: ${JSON.stringify([return_code, stderr, sizes, config])}`),
      gaveUp: (target, reason) => told.push(`${target}: ${reason}`),
    },
  ]);
  const options: FarmRunOptions = {
    ...{ controller, target: undefined, repository: "https://x/p.git", project: "my project" },
    ...{ matrix: new Matrix(names, commits), currentCommit: "c".repeat(40), observer },
    how: { recipe: { build: "make" }, settings: {}, toolchains: {} },
    begin: () => Promise.resolve(void told.push("begun")),
    say: (text) => (text.startsWith("The matrix is at ") ? pages : told).push(text),
    signal: new AbortController().signal,
    ...more,
  };
  return { options, told, pages };
}

test("each result that is missing is a build of its commit, and its files come back", async () => {
  const controller = new ControllerInMemory();
  controller.filesOf = (id) =>
    id === 1
      ? { done: "2\n", err: "no\n", "config-.config": "A=1\n" }
      : { done: "0\n", sizes: " 1 2 3 6 6 u" };
  const { options, told } = optionsFor(controller, 1);
  const outcome = await runThroughController(options);
  assert.deepEqual(outcome, { remaining: [], interrupted: false, workers: 1, traffic: [] });
  assert.deepEqual(told, [
    "begun",
    'host-1 0 0: [2,"no\\n",null,{".config":"A=1\\n"}]',
    'host-1 0 1: [0,"",{"raw":" 1 2 3 6 6 u"},null]',
  ]);
  const [first] = controller.submitted;
  assert.match(first!.name, /^my_project-matrix-[0-9a-f]{8}$/);
  assert.equal(first!.repository, `https://x/p.git#${"a".repeat(40)}`);
  assert.deepEqual(first!.targets, ["debian"]);
  assert.match(first!.config, /^croft-run '/);
  await runThroughController(options);
  assert.equal(controller.submitted.length, 2, "nothing is missing any more");
});

test("the controller is told each build's place in the matrix, if it takes that", async () => {
  const controller = new ControllerInMemory();
  const { options, pages } = optionsFor(controller, 1);
  await runThroughController(options);
  const places = () => controller.submitted.map((body) => (body as { cell?: object }).cell);
  assert.deepEqual(places(), [
    { row: "t0", column: 0, title: "aaaaaaaaaaaa a" },
    { row: "t0", column: 1, title: "bbbbbbbbbbbb b" },
  ]);
  assert.deepEqual(pages, [`The matrix is at http://farm/packages/${controller.submitted[0]!.name}`]);
  const older = new ControllerInMemory();
  const { submit } = older;
  older.submit = (body) =>
    "cell" in body
      ? Promise.reject(new Failure("submit", "400: body: unknown key 'cell'; there are name, version"))
      : submit(body);
  const again = optionsFor(older, 1);
  assert.deepEqual((await runThroughController(again.options)).remaining, []);
});

test("a build without a result leaves it missing, and tells what was said last", async () => {
  const controller = new ControllerInMemory();
  controller.filesOf = (id) => (id === 1 ? {} : { done: "10\n" });
  const { options, told } = optionsFor(controller, 1);
  assert.deepEqual((await runThroughController(options)).remaining, [0]);
  assert.deepEqual(told.slice(1), [
    "0: its build ended with success of fetch: fatal: not here (http://farm/builds/1)",
    "0: its machine has no compiler for it (http://farm/builds/2)",
  ]);
});

test("no more than 200 builds wait at a time; an interrupted run cancels them", async () => {
  const controller = new ControllerInMemory();
  const ended = new AbortController();
  controller.filesOf = (id) => (id <= 10 ? { done: "0\n" } : undefined);
  const { options } = optionsFor(controller, 200, { signal: ended.signal });
  let listings = 0;
  const { list } = controller;
  controller.list = () => {
    if (++listings === 3) ended.abort();
    return list();
  };
  const outcome = await runThroughController(options);
  assert.equal(outcome.interrupted, true);
  assert.equal(controller.submitted.length, 210);
  assert.deepEqual(controller.cancelled.length, 200);
});

test("a controller that is away for a while is asked again; one that refuses ends the run", async () => {
  const controller = new ControllerInMemory();
  let asked = 0;
  controller.onAsk = () => {
    if (++asked === 2) throw new ConnectionFailure("reach the controller", "it is away");
  };
  const { options, told } = optionsFor(controller, 1);
  assert.deepEqual((await runThroughController(options)).remaining, []);
  assert.equal(told[1], "Cannot reach the controller: it is away; trying again");
  assert.equal(controller.submitted.length, 2);
  controller.names = ["debian", "ubuntu"];
  const second = optionsFor(controller, 1);
  await assert.rejects(runThroughController(second.options), /it has several targets/);
  assert.deepEqual(second.told, [], "old results are not touched");
  await assert.rejects(runThroughController({ ...second.options, target: "fedora" }), /no target 'fedora'/);
});
