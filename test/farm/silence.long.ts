/** Agents that vanish, and a controller, its database, a balancer or a proxy that is away for two minutes while builds run */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { createServer as createHttpServer, request as requestHttp } from "node:http";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SignsOfLife } from "../../agent/task-state/signs-of-life.ts";
import { HttpClient } from "../../agent/wire/http.ts";
import { openServer } from "../../controller/database/server.ts";
import { silentLog } from "../../os/log.ts";
import { run } from "../../os/run.ts";
import { AgentHome, resultText } from "../agent/running-agent.ts";
import { noPostgres, startPostgres } from "../controller/database/postgres.ts";
import {
  makeFarm,
  postTaskRequest,
  readBuild,
  receivedTask,
  sendResult,
  submit,
  type ReceivedTask,
} from "../controller/farm.ts";
import { until } from "../controller/until.ts";

const builds = 20;
const awayMs = 120_000;
/** By then a lease that should not would have ended. */
const afterwardsMs = 130_000;

/** Gives out builds, has something go away for two minutes, and brings it back: each build is built once. */
async function outage(url: string, goAway: () => void, comeBack: () => void | Promise<void>): Promise<void> {
  const client = new HttpClient({
    ...{ agent: "test", connectTimeoutSeconds: 30, requestTimeoutSeconds: 60, requestRetries: 0 },
  });
  await using stack = new AsyncDisposableStack();
  const given: { id: number; task: ReceivedTask }[] = [];
  for (let count = 0; count < builds; count++) {
    const id = await submit(url);
    const answer = await postTaskRequest(url, { agent: `host-${count}` }, "; alive, timeout");
    const aliveUrl = answer.headers.get("croft-alive-url")!;
    const task = await receivedTask(answer);
    stack.use(new SignsOfLife(client, silentLog())).show({ session: task.session, aliveUrl }, "building");
    given.push({ id, task });
  }
  await sleep(20_000); // each has given a sign or two
  goAway();
  await sleep(awayMs);
  await comeBack();
  await sleep(afterwardsMs);
  for (const { id, task } of given) {
    assert.equal((await sendResult(task, "success")).status, 204);
    const { attempts, status } = await readBuild(url, id);
    assert.deepEqual([attempts.length, status], [1, "success"]);
  }
}

/** A relay to a controller that can be away. */
async function startBalancer() {
  let backend = 0;
  let isAway = false;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    if (isAway) return void socket.destroy();
    const to = connect(backend, "127.0.0.1");
    for (const [one, other] of [
      [socket, to],
      [to, socket],
    ] as const) {
      sockets.add(one);
      one.pipe(other).on("error", () => other.destroy());
      one.on("error", () => other.destroy()).on("close", () => sockets.delete(one));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    leadTo: (url: string) => (backend = Number(new URL(url).port)),
    goAway: () => {
      isAway = true;
      for (const socket of sockets) socket.destroy();
    },
    comeBack: () => void (isAway = false),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A process and its children. */
function family(parent: number): number[] {
  const children = readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const fields = readFileSync(`/proc/${name}/stat`, "utf8").replace(/^.*\) /s, "");
      return Number(fields.split(" ")[1]) === parent;
    } catch {
      return false; // it ended meanwhile
    }
  });
  return [parent, ...children.map(Number)];
}

describe("nothing is built twice", { concurrency: true }, () => {
  test("when the controller stands still for two minutes", async () => {
    await using farm = await makeFarm();
    const { url, process } = await farm.start();
    await outage(
      url,
      () => void process.kill("SIGSTOP"),
      () => void process.kill("SIGCONT"),
    );
  });

  test("when its database stands still for two minutes", { skip: noPostgres }, async () => {
    await using postgres = await startPostgres();
    await using farm = await makeFarm(`database: ${postgres.url}\n`);
    const { url } = await farm.start();
    let pids: number[] = [];
    {
      await using database = await openServer(postgres.url, () => {});
      const [file] = await database.query<{ text: string }>("select pg_read_file('postmaster.pid') as text");
      pids = [Number.parseInt(file!.text, 10)];
    }
    const signal = (name: NodeJS.Signals) => {
      if (name === "SIGSTOP") pids = family(pids[0]!);
      for (const pid of pids) process.kill(pid, name);
    };
    await outage(
      url,
      () => signal("SIGSTOP"),
      () => signal("SIGCONT"),
    );
  });

  test("when the balancer before it is away for two minutes", async () => {
    await using balancer = await startBalancer();
    await using farm = await makeFarm();
    const { url } = await farm.start("--public-url", balancer.url);
    balancer.leadTo(url);
    await outage(balancer.url, balancer.goAway, balancer.comeBack);
  });
});

/** Another host: a network namespace with one cable to this one, which can be cut. */
async function makeHost() {
  const name = `croft-silence-${process.pid}`;
  const [here, there] = ["10.213.77.1", "10.213.77.2"];
  const ip = (...argv: string[]) => run(["ip", ...argv], { timeoutSeconds: 300 });
  await using stack = new AsyncDisposableStack();
  await ip("netns", "add", name);
  stack.defer(async () => void (await ip("netns", "delete", name)));
  await ip("link", "add", "croft-cable", "type", "veth", "peer", "name", "eth0", "netns", name);
  await ip("address", "add", `${here}/30`, "dev", "croft-cable");
  await ip("link", "set", "croft-cable", "up");
  const enter = ["ip", "netns", "exec", name];
  const within = (...argv: string[]) => run([...enter, ...argv], { timeoutSeconds: 300 });
  await within("ip", "address", "add", `${there}/30`, "dev", "eth0");
  for (const device of ["lo", "eth0"]) await within("ip", "link", "set", device, "up");
  const held = stack.move();
  return {
    ...{ here, enter },
    cut: () =>
      within(
        "nft",
        "add table ip cut; add chain ip cut in { type filter hook input priority 0; }; " +
          'add rule ip cut in iifname "eth0" drop',
      ),
    mend: () => within("nft", "delete table ip cut"),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

test("a host whose network is cut off loses its build after a minute; when it is back, the first result counts", async (t) => {
  await using host = await makeHost();
  for (const first of ["former", "latter"]) {
    await using farm = await makeFarm("targets: [{ name: any, machine: m }]\n");
    // Of two addresses that it listens on, each agent is told the one that it asked at.
    const { url } = await farm.start("--listen", "0.0.0.0:0");
    const { port } = new URL(url);
    await using former = await AgentHome.make(host.enter);
    await using latter = await AgentHome.make();
    const cutOff = former.start([`http://${host.here}:${port}/agent/task`]);
    const local = `http://127.0.0.1:${port}`;
    const id = await submit(local);
    await former.readTask();
    const other = latter.start([`${local}/agent/task`]);
    await host.cut();
    const began = performance.now();
    await latter.readTask();
    const seconds = (performance.now() - began) / 1000;
    t.diagnostic(`the build of a host that was cut off was with another one after ${seconds.toFixed(0)} s`);
    assert.ok(seconds < 90, String(seconds));
    await host.mend();
    await (first === "former" ? former : latter).upload(resultText());
    await until(async () => (await readBuild(local, id)).state === "finished", "the result");
    const states = async () => (await readBuild(local, id)).attempts.map(({ state }) => state);
    assert.deepEqual(
      await states(),
      first === "former" ? ["finished", "superseded"] : ["superseded", "finished"],
    );
    const loser = first === "former" ? other : cutOff;
    await until(() => isToldOver(first === "former" ? latter : former), "the other to give up");
    for (const { child } of [cutOff, other]) child.kill("SIGTERM");
    assert.match((await loser.ended).stderr, /task given up: nobody waits for its result any more/);
    await Promise.all([cutOff.ended, other.ended]);
  }
});

/** Whether an agent has nothing more of a task. */
async function isToldOver(home: AgentHome): Promise<boolean> {
  return readdirSync(home.at("spool", "default-1")).join() === "lock";
}

test("a result that a proxy does not let through for 150 s is built once", async () => {
  await using proxy = await startProxy();
  await using farm = await makeFarm("targets: [{ name: any, machine: m }]\n");
  const { url } = await farm.start("--public-url", proxy.url);
  proxy.leadTo(url);
  await using first = await AgentHome.make();
  await using second = await AgentHome.make();
  const builds = first.start([`${proxy.url}/agent/task`]);
  const id = await submit(url);
  await first.readTask();
  const waits = second.start([`${proxy.url}/agent/task`]);
  await first.upload(resultText());
  await sleep(150_000);
  proxy.letThrough();
  await until(async () => (await readBuild(url, id)).state === "finished", "the result");
  const { attempts, status } = await readBuild(url, id);
  assert.deepEqual([attempts.length, status], [1, "success"]);
  assert.ok(proxy.refused() > 0);
  for (const { child } of [builds, waits]) child.kill("SIGTERM");
  await Promise.all([builds.ended, waits.ended]);
});

/** Passes requests on, but answers results in the controller's place until it is told not to. */
async function startProxy() {
  let [backend, refused, isBroken] = ["", 0, true];
  const server = createHttpServer((request, response) => {
    if (isBroken && request.url!.includes("/agent/result")) {
      refused++;
      request.resume().on("end", () => response.writeHead(404).end("<h1>404 page not found</h1>"));
      return;
    }
    const { method, headers } = request;
    const onward = requestHttp(new URL(request.url!, backend), { ...{ method, headers } }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    leadTo: (url: string) => (backend = url),
    letThrough: () => (isBroken = false),
    refused: () => refused,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

for (const [how, signal] of [
  ["was killed", "SIGKILL"],
  ["stands still", "SIGSTOP"],
] as const)
  test(`the build of an agent that ${how} runs elsewhere after a minute`, async (t) => {
    await using farm = await makeFarm("targets: [{ name: any, machine: m }]\n");
    const { url } = await farm.start();
    await using first = await AgentHome.make();
    await using second = await AgentHome.make();
    const silent = first.start([`${url}/agent/task`]);
    const id = await submit(url);
    await first.readTask();
    const other = second.start([`${url}/agent/task`]);
    const began = performance.now();
    silent.child.kill(signal);
    await second.readTask();
    const seconds = (performance.now() - began) / 1000;
    t.diagnostic(`the build of an agent that ${how} was with another one after ${seconds.toFixed(0)} s`);
    assert.ok(seconds < 90, String(seconds));
    await second.upload(resultText());
    await until(async () => (await readBuild(url, id)).state === "finished", "the result");
    const { attempts, status } = await readBuild(url, id);
    assert.deepEqual([attempts.length, status], [2, "success"]);
    if (signal === "SIGSTOP") {
      silent.child.kill("SIGCONT");
      await until(() => isToldOver(first), "it to give up");
      silent.child.kill("SIGTERM");
      assert.match((await silent.ended).stderr, /task given up: nobody waits for its result any more/);
    }
    other.child.kill("SIGTERM");
    await other.ended;
  });
