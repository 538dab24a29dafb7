/**
 * What agents do with machines that others hold: real agents, controllers on real sockets and real locks; the tasks to
 * be interrupted are processes that do what the test says, and nothing is booted.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { machinePaths, type MachinePaths } from "../../../machines/layout.ts";
import { parseResultRequest } from "../../../manifests/result-request.ts";
import { parseTaskRequest } from "../../../manifests/task-request.ts";
import { FakeController } from "../fake-controller.ts";
import { AgentHome, task, type Ended } from "../running-agent.ts";
import { holdTask, type TaskHolder } from "./task-holder.ts";
import { patienceMs } from "../../fixtures/patience.ts";

/** Machines that are bootstrapped, a controller with a queue for each path, and agents. */
class Host implements AsyncDisposable {
  readonly home: AgentHome;
  readonly controller: FakeController;
  /** Tasks to be given, by path; each the name of a machine. */
  readonly tasks: Record<string, string[]> = {};
  readonly #stack: AsyncDisposableStack;

  private constructor(home: AgentHome, controller: FakeController, stack: AsyncDisposableStack) {
    this.home = home;
    this.controller = controller;
    this.#stack = stack;
    let session = 0;
    controller.answer = ({ path }) => {
      if (path === "/result") return { status: 204 };
      const machine = this.tasks[path]?.shift();
      const head = `: 1\nsession: ${machine ? `s${++session}` : ""}\n`;
      if (!machine) return { body: head };
      const body = `${head}result-url: ${controller.url("/result")}\n:\n${task.replace("machine: m", `machine: ${machine}`)}`;
      return { body };
    };
  }

  static async make(...machines: string[]): Promise<Host> {
    await using stack = new AsyncDisposableStack();
    const home = stack.use(await AgentHome.make());
    const controller = stack.use(await FakeController.start());
    const host = new Host(home, controller, stack.move());
    for (const name of machines) {
      const manifest = await host.publish(name, 1);
      const bootstrapped = `${manifest}mac: 02:00:00:00:00:01\n:\nid: bogus\n:\n`;
      await mkdir(host.paths(name).bootstrapped);
      await writeFile(`${host.paths(name).bootstrapped}/manifest`, bootstrapped);
    }
    return host;
  }

  paths(name: string): MachinePaths {
    return machinePaths(this.home.at("machines"), "volume", name, "default");
  }

  async publish(name: string, revision: number): Promise<string> {
    const { current } = this.paths(name);
    await mkdir(`${current}.${revision}`, { recursive: true });
    const manifest = `: 1\nid: ${name}-1.${revision}\nname: ${name}\nsummary: A machine\ntype: kvm\n`;
    await writeFile(`${current}.${revision}/manifest`, manifest);
    await rm(current, { force: true });
    await symlink(`${name}-1.${revision}`, current);
    return manifest;
  }

  /** A task of another agent on a machine. */
  async hold(name: string, priority: number): Promise<TaskHolder> {
    return this.#stack.use(await holdTask(this.paths(name), this.home.at("machines"), priority));
  }

  /** Starts an agent that knows these paths of the controller, by priority. */
  agent(paths: Record<string, string>, ...options: string[]) {
    const controllers = Object.entries(paths).map(
      ([priority, path]) => `${priority}=${this.controller.url(path)}`,
    );
    return this.home.start(
      ["--fake-bootstrap", "--fake-build", "--verbose", "4", ...options, ...controllers],
      {
        fake: false,
      },
    );
  }

  /** Machines that were offered in each of the requests so far. */
  offers(path: string): string[][] {
    const requests = this.controller.received.filter((request) => request.path === path);
    return requests.map(({ body }) => parseTaskRequest(body).machines.map(({ id }) => id));
  }

  /** The results, as `<session> <status>: <log>`. */
  async results(count: number): Promise<string[]> {
    const sent = await this.controller.requests("/result", count);
    return sent.map(({ body }) => {
      const { session, result } = parseResultRequest(body);
      return `${session} ${result.status}: ${result.operations[0]!.log.trim()}`;
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

type Agent = ReturnType<Host["agent"]>;

async function stop({ child, ended }: Agent): Promise<Ended> {
  child.kill("SIGTERM");
  const result = await ended;
  assert.equal(result.status, 0, result.stderr);
  return result;
}

/** Waits until an agent has logged something. */
async function until({ child }: Agent, pattern: RegExp): Promise<void> {
  let said = "";
  const found = Promise.withResolvers<void>();
  const late = setTimeout(() => found.reject(new Error(`no ${String(pattern)} in:\n${said}`)), patienceMs);
  child.stderr!.on("data", (chunk: Buffer) => {
    said += chunk.toString();
    if (pattern.test(said)) found.resolve();
  });
  await found.promise.finally(() => clearTimeout(late));
}

const unbuilt = "abort: not built: --fake-build";

test("a machine is offered to those who may interrupt its task; it is interrupted, and its machine used", async () => {
  await using host = await Host.make("a", "b");
  const holder = await host.hold("a", 12);
  const answer = host.controller.answer;
  let lockAtResult: string | undefined;
  host.controller.answer = (request) => {
    if (request.path === "/result") lockAtResult = readFileSync(host.paths("a").lock, "utf8");
    return answer(request);
  };
  const agent = host.agent({ "0100": "/c", "0099": "/b" }, "--instance-max", "2");
  await host.controller.requests("/b", 1);
  assert.deepEqual([host.offers("/c")[0], host.offers("/b")[0]], [["b-1.1", "a-1.1"], ["b-1.1"]]);
  host.tasks["/c"] = ["a"];
  await holder.until("SIGUSR1");
  assert.deepEqual(readFileSync(host.paths("a").lock, "utf8"), `${holder.pid} 0012`);
  await holder.tell("release");
  assert.deepEqual(await host.results(1), [`s1 ${unbuilt}`]);
  assert.equal(lockAtResult, "", "the lock is released before anything is sent");
  const { stderr } = await stop(agent);
  assert.match(
    stderr,
    new RegExp(`interrupting a task of lower priority .*"machine":"a","priority":12,"holder":${holder.pid}`),
  );
  assert.match(stderr, /interrupted task has given way .*"machine":"a"/);
  assert.equal(holder.said.filter((line) => line === "SIGUSR1").length, 1);
});

test("without a maximum of instances nothing is held back, offered or interrupted", async () => {
  await using host = await Host.make("a", "b");
  const holder = await host.hold("a", 12);
  const agent = host.agent({ "9999": "/d", "0000": "/a" });
  await host.controller.requests("/a", 2);
  assert.deepEqual([host.offers("/d")[0], host.offers("/a")[0]], [["b-1.1"], ["b-1.1"]]);
  await stop(agent);
  assert.deepEqual(holder.said, ["held"]);
});

test("with all instances busy only those are asked who may interrupt; a free machine costs the lowest task", async () => {
  await using host = await Host.make("a", "b", "c");
  const [low, high] = [await host.hold("a", 12), await host.hold("b", 199)];
  const agent = host.agent({ "0200": "/c", "0112": "/same", "0000": "/a" }, "--instance-max", "2");
  await host.controller.requests("/c", 2);
  assert.deepEqual(host.offers("/c")[0], ["c-1.1", "a-1.1", "b-1.1"], "the lowest before others");
  assert.deepEqual([host.offers("/same"), host.offers("/a")], [[], []], "0199 runs, and none may be added");
  host.tasks["/c"] = ["c"];
  await low.until("SIGUSR1");
  await low.tell("release");
  assert.deepEqual(await host.results(1), [`s1 ${unbuilt}`]);
  await stop(agent);
  assert.deepEqual(high.said, ["held"]);
});

test("level B: lower controllers are not asked while a task of it runs, and then they are", async () => {
  await using host = await Host.make("a", "b");
  const holder = await host.hold("a", 11);
  const agent = host.agent({ "0010": "/b", "0009": "/a" }, "--instance-max", "2");
  await host.controller.requests("/b", 3);
  assert.deepEqual(host.offers("/a"), []);
  await holder.tell("release");
  await host.controller.requests("/a", 1);
  await stop(agent);
});

test("while all instances bootstrap or are suspended nobody is asked", async () => {
  await using host = await Host.make("a", "b");
  const holder = await host.hold("a", 0);
  await holder.tell("suspend");
  const agent = host.agent({ "9999": "/d" }, "--instance-max", "1");
  await until(agent, /waiting for a task of higher priority[^]*"phase":"enumerating"/);
  assert.deepEqual(host.offers("/d"), []);
  await holder.tell("release");
  await host.controller.requests("/d", 1);
  await stop(agent);
});

test("level D: all tasks of lower D are interrupted, also with a machine free", async () => {
  await using host = await Host.make("a", "b", "c", "d");
  const lower = [await host.hold("a", 12), await host.hold("b", 1999)];
  const equal = await host.hold("c", 2000);
  host.tasks["/d"] = ["d"];
  const agent = host.agent({ "2001": "/d" }, "--instance-max", "9");
  await Promise.all(lower.map((holder) => holder.until("SIGUSR1")));
  await lower[1]!.tell("release");
  await lower[0]!.kill();
  assert.deepEqual(await host.results(1), [`s1 ${unbuilt}`]);
  await stop(agent);
  assert.deepEqual(equal.said, ["held"]);
});

test("a task that does not give way: its interrupter reports interrupt, and offers that machine no more for a while", async () => {
  await using host = await Host.make("a", "b");
  const [holder, other] = [await host.hold("a", 12), await host.hold("b", 12)];
  host.tasks["/c"] = ["a"];
  const agent = host.agent({ "0100": "/c" }, "--instance-max", "3");
  await holder.until("SIGUSR1");
  await holder.tell("suspend");
  const because = "Cannot interrupt the task on machine 'a': it was suspended";
  assert.deepEqual(await host.results(1), [`s1 interrupt: ${because}`]);
  await holder.tell("release");
  await host.controller.requests("/c", 2);
  assert.deepEqual(host.offers("/c"), [["a-1.1", "b-1.1"], ["a-1.1"]], "b is not free");
  assert.deepEqual(other.said, ["held"]);
  const { stderr } = await stop(agent);
  assert.match(stderr, /WARN: controller is offered free machines only for a while .*"pauseSeconds":60/);
  assert.deepEqual(readdirSync(host.home.at("spool", "default-1")), ["lock"]);
});

test("a machine that is replaced while its task gives way is not used: interrupt, and it is bootstrapped first", async () => {
  await using host = await Host.make("a");
  const holder = await host.hold("a", 12);
  host.tasks["/c"] = ["a"];
  const agent = host.agent({ "0100": "/c" }, "--instance-max", "2");
  await holder.until("SIGUSR1");
  await host.publish("a", 2);
  await holder.tell("release");
  assert.deepEqual(await host.results(1), ["s1 interrupt: the machine is another than was offered"]);
  await host.controller.requests("/c", 2);
  assert.deepEqual(host.offers("/c"), [["a-1.1"], ["a-1.2"]]);
  await stop(agent);
});

test("an interrupter asked to end while it waits reports interrupt; one interrupted while it waits goes on", async () => {
  await using host = await Host.make("a");
  const holder = await host.hold("a", 12);
  host.tasks["/c"] = ["a", "a"];
  const first = host.agent({ "0100": "/c" }, "--instance-max", "2");
  await holder.until("SIGUSR1");
  await stop(first);
  assert.deepEqual(await host.results(1), ["s1 interrupt: the agent was stopped"]);
  assert.equal(readFileSync(host.paths("a").lock, "utf8"), `${holder.pid} 0012`);
  const second = host.agent({ "0100": "/c" }, "--instance-max", "2");
  await until(second, /interrupting a task of lower priority/);
  second.child.kill("SIGUSR1"); // it has no task yet that could be interrupted
  await holder.tell("release");
  assert.equal((await host.results(2))[1], `s2 ${unbuilt}`);
  await stop(second);
});

test("an interrupter that is killed while it waits: the next agent reports its task", async () => {
  await using host = await Host.make("a");
  const holder = await host.hold("a", 12);
  host.tasks["/c"] = ["a"];
  const first = host.agent({ "0100": "/c" }, "--instance-max", "2");
  await holder.until("SIGUSR1");
  first.child.kill("SIGKILL");
  await first.ended;
  const second = host.agent({ "0100": "/c" }, "--instance-max", "2");
  assert.deepEqual(await host.results(1), ["s1 interrupt: the agent ended while the task was performed"]);
  await host.controller.requests("/c", 2);
  assert.deepEqual(host.offers("/c")[1], ["a-1.1"], "nobody holds it but the task");
  await stop(second);
});

test("--dump-task shows a task for a machine that is not free, and interrupts nothing", async () => {
  await using host = await Host.make("a");
  const holder = await host.hold("a", 12);
  host.tasks["/c"] = ["a"];
  const { status, stdout } = await host.agent({ "0100": "/c" }, "--instance-max", "2", "--dump-task").ended;
  assert.equal(status, 0);
  assert.match(stdout, /^machine: a$/m);
  assert.deepEqual(holder.said, ["held"]);
});

test("of two interrupters that want the same machine one tells its task, and both have their turn", async () => {
  await using host = await Host.make("a");
  const holder = await host.hold("a", 12);
  const agents = ["1", "2"].map((instance) => {
    host.tasks[`/c${instance}`] = ["a"]; // a path for each: else one that starts late might find nothing left to do
    return host.agent({ "0100": `/c${instance}` }, "--instance-max", "2", "--instance", instance);
  });
  await holder.until("SIGUSR1");
  await holder.tell("release");
  assert.deepEqual((await host.results(2)).sort(), [`s1 ${unbuilt}`, `s2 ${unbuilt}`]);
  for (const agent of agents) await stop(agent);
  assert.equal(holder.said.filter((line) => line === "SIGUSR1").length, 1);
});
