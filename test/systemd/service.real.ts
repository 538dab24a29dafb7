/**
 * Agents as services: installed into and run under a systemd of their own, on a real btrfs, with real machines. The
 * tests are steps of one story in one container, in this order.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { mkdir, readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { run } from "../../os/run.ts";
import { parseResultRequest } from "../../manifests/result-request.ts";
import { FakeController } from "../agent/fake-controller.ts";
import { btrfsFileSystem, type BtrfsFileSystem } from "../fixtures/machines/btrfs.ts";
import { minimalMachine } from "../fixtures/machines/images.ts";
import { Container, croftInContainer, nodeInContainer } from "./container.ts";
import { patienceMs, patienceSeconds } from "../fixtures/patience.ts";

const units = ["croft-agent@1.service", "croft-agent@2.service", "croft-agent@3.service"] as const;
const [first, second, third] = units;
const target = "croft-agent.target";
const lockPath = "/var/lock/croft-agent-default.lock";
const configuration = "/etc/croft/agent.yaml";
/** For whatever needs a machine to boot, on a host that is busy with other tests. */
const machineSeconds = 600;
/** Between two looks at a unit: each starts two programs, and takes the systemd of the container some time, too. */
const lookMs = 400;

const resources = new AsyncDisposableStack();
let container: Container;
let controller: FakeController;
let build: BtrfsFileSystem;
let gives: Farm;

/** What the controller gives, and what became of it. */
class Farm {
  /** The sessions to give, one for each request. */
  sessions: string[] = [];
  /** Called when a machine fetches the source of its task; the answer waits for what it returns. */
  onFetch: () => Promise<void> = async () => {};
  /** Where machines find the sources of their tasks. */
  source: string;
  readonly results = new Map<string, string>();

  constructor(controller: FakeController) {
    this.source = controller.url("/source/").replace("127.0.0.1", "10.0.2.2");
    controller.answer = async ({ path, body }) => {
      if (path.startsWith("/task")) return { body: this.#task(controller) };
      if (path === "/result") {
        const { session, result } = parseResultRequest(body);
        this.results.set(session, result.status);
        return { status: 204 };
      }
      await this.onFetch();
      return { status: 404 };
    };
  }

  #task(controller: FakeController): string {
    const session = this.sessions.shift();
    if (session === undefined) return ": 1\nsession:\n";
    return (
      `: 1\nsession: ${session}\nresult-url: ${controller.url("/result")}\n:\nname: hello\nversion: 1.0\n` +
      `repository-url: ${this.source}\nrepository-type: pkg\nmachine: minimal\ntarget: x86_64-linux-gnu\n`
    );
  }

  /** Gives a task, and waits until its machine fetches the source; the result lets it have an answer. */
  async building(session: string): Promise<() => void> {
    const fetching = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    this.onFetch = () => {
      fetching.resolve();
      return answered.promise;
    };
    this.sessions.push(session);
    await within(machineSeconds, `a machine for ${session}`, fetching.promise);
    return answered.resolve;
  }
}

async function within<T>(seconds: number, what: string, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no ${what} after ${seconds} s`)), seconds * 1000);
  try {
    return await Promise.race([work, late.promise]);
  } catch (error) {
    throw new Error(`${String(error)}\n${await journal()}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

const agent = (...args: string[]) =>
  container.run([nodeInContainer, `${croftInContainer}/bin/croft.js`, "agent", ...args]);

const systemctl = (...args: string[]) => container.run(["systemctl", ...args], { timeoutSeconds: 300 });

async function journal(unit = "croft-agent@*", format = "short"): Promise<string> {
  const { stdout } = await container.run(["journalctl", "--unit", unit, "--output", format]);
  return stdout;
}

/** Properties of a unit as systemctl shows them. */
async function show(unit: string): Promise<Record<string, string>> {
  const { stdout } = await systemctl("show", unit);
  return Object.fromEntries(
    stdout.split("\n").map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]),
  );
}

/** Waits until a unit is as wanted. */
async function until(
  unit: string,
  wanted: (properties: Record<string, string>) => boolean,
  seconds = patienceSeconds,
): Promise<Record<string, string>> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const properties = await show(unit);
    if (wanted(properties)) return properties;
    if (Date.now() > deadline) {
      const { ActiveState, SubState, StatusText, NRestarts } = properties;
      const state = JSON.stringify({
        ActiveState,
        SubState,
        StatusText,
        NRestarts,
      });
      throw new Error(`${unit} is ${state} after ${seconds} s\n${await journal()}`);
    }
    await delay(lookMs);
  }
}

const isActive = ({ ActiveState }: Record<string, string>) => ActiveState === "active";

async function untilText(file: string, pattern: RegExp): Promise<string> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const text = await journal(file);
    if (pattern.test(text)) return text;
    if (Date.now() > deadline) throw new Error(`nothing like ${pattern} in\n${text}`);
    await delay(lookMs);
  }
}

/** What agents leave only while they work. */
async function leftBehind(): Promise<string[]> {
  const { stdout } = await container.run(["pgrep", "--list-name", "qemu-system"], { accept: [1] });
  const machine = readdirSync(join(build.path, "machines", "volume", "minimal"));
  const runtime = container.path("run", "croft", "default-1");
  const stays = /^(console\.log|default-1|.*\.lock|lock)$/;
  return [
    ...stdout.split("\n").filter((line) => line !== ""),
    ...machine.filter((name) => /^minimal-default-/.test(name)),
    ...(existsSync(runtime) ? readdirSync(runtime).filter((name) => !stays.test(name)) : []),
    ...readdirSync(join(build.path, "tftp", "build")).filter((name) => !stays.test(name)),
  ];
}

function agentConfiguration(url: string): string {
  return `poll-interval: 1\nverbose: 2\nram: 262144\nstartup-timeout: ${machineSeconds}\ncontrollers:\n  - ${url}\n`;
}

/** Changes a unit as an operator would, and lets systemd read it. */
async function dropIn(unit: string, ...lines: string[]): Promise<void> {
  const directory = container.path("etc", "systemd", "system", `${unit}.d`);
  await mkdir(directory, { recursive: true });
  writeFileSync(join(directory, "test.conf"), ["[Service]", ...lines, ""].join("\n"));
  await systemctl("daemon-reload");
}

before(async () => {
  const revision = await minimalMachine();
  build = resources.use(await btrfsFileSystem({ sizeMiB: 1024 }));
  const home = join(build.path, "machines", "volume", "minimal");
  await mkdir(home, { recursive: true });
  await run(["btrfs", "--quiet", "subvolume", "create", join(home, "minimal-1.1")], { timeoutSeconds: 300 });
  await run(["cp", "--archive", "--sparse=always", `${revision}/.`, join(home, "minimal-1.1")], {
    timeoutSeconds: 300,
  });
  await symlink("minimal-1.1", join(home, "minimal-1"));
  controller = resources.use(await FakeController.start());
  gives = new Farm(controller);
  const devices = ["/dev/kvm", "/dev/net/tun", "/dev/vhost-net"].filter((path) => existsSync(path));
  container = resources.use(
    await Container.boot({
      "/build": build.path,
      ...Object.fromEntries(devices.map((path) => [path, path])),
    }),
  );
  await container.offer(Number(new URL(controller.url("/")).port));
});

after(async () => {
  await resources.disposeAsync();
});

test("croft agent install puts units there that systemd likes, and may be repeated", async () => {
  const shown = await agent("install", "--dry-run", "--instances", "3", controller.url("/task"));
  assert.match(shown.stdout, /croft-agent@\.service:\n {4}# Made by croft/);
  assert.equal(existsSync(container.path(configuration)), false, "a dry run writes nothing");
  const command = [
    nodeInContainer,
    `${croftInContainer}/bin/croft.js`,
    "agent",
    "install",
    "--instances",
    "3",
  ];
  const withUmask0 = ["sh", "-c", 'umask 0; exec "$@"', "sh", ...command, controller.url("/task")];
  const { stdout } = await container.run(withUmask0);
  const places = ["/etc/croft", "/etc/systemd/system", "/var/lib/croft"];
  const open = await container.run(["find", ...places, "-perm", "-o=w", "!", "-type", "l"]);
  assert.equal(open.stdout, "", "who may write there commands a service of root");
  assert.match(stdout, /systemctl enable --now croft-agent.target croft-agent@1.service/);
  const verified = await container.run(["systemd-analyze", "verify", first, target]);
  assert.equal(verified.stdout + verified.stderr, "");
  const again = await agent("install", "--instances", "3");
  assert.match(again.stdout, /croft-agent@\.service: unchanged/);
  assert.match(again.stdout, /agent\.yaml: left as it is/);
  assert.equal((await show(first))["ActiveState"], "inactive", "nothing is started unasked");
  writeFileSync(container.path(configuration), agentConfiguration(controller.url("/task")));
});

/** What systemd thinks of a unit's hardening: 0 is good, 10 is bad. */
async function exposure(unit: string): Promise<number> {
  const { stdout } = await container.run(["systemd-analyze", "security", unit], { accept: [1] });
  return Number(/Overall exposure level for \S+: ([\d.]+)/.exec(stdout)![1]);
}

test("the exposure of the agent's unit is at most 3.2", async () => {
  const found = await exposure(first);
  assert.ok(found > 0 && found <= 3.2, String(found));
});

test("agents are ready only once they have looked through the machines, and say what they do until then", async () => {
  const holder = container.spawn(["flock", lockPath, "sh", "-c", "echo held; exec sleep 600"]);
  await once(holder.stdout!, "data");
  await agent("install", "--now", "--instances", "3");
  for (const unit of units) {
    const { ActiveState } = await until(
      unit,
      ({ StatusText }) => StatusText === "waiting for the toolchain lock",
    );
    assert.equal(ActiveState, "activating");
  }
  await container.run(["pkill", "--full", "^sleep 600$"]); // flock(1) ends with what it runs
  for (const unit of units) await until(unit, isActive);
  assert.equal((await show(target))["ActiveState"], "active");
});

test("instances run beside each other, and the end of one leaves the others alone", async () => {
  // One of them bootstraps the machine; then all of them ask.
  await until(first, () => controller.received.some(({ path }) => path.startsWith("/task")), machineSeconds);
  const before = await Promise.all(units.map((unit) => show(unit)));
  assert.equal(new Set(before.map(({ MainPID }) => MainPID)).size, 3);
  await systemctl("stop", third);
  for (const [index, unit] of [first, second].entries()) {
    const { MainPID, ActiveState } = await show(unit);
    assert.deepEqual([ActiveState, MainPID], ["active", before[index]!["MainPID"]]);
  }
  assert.ok(existsSync(container.path("run", "croft")));
  await systemctl("stop", target);
  for (const unit of units) await until(unit, ({ ActiveState }) => ActiveState === "inactive");
  await systemctl("start", target);
  for (const unit of units) await until(unit, isActive);
  await systemctl("stop", second, third);
});

test("stop while a machine builds reports the task as interrupted, and leaves nothing", async () => {
  await gives.building("stopped");
  await until(first, ({ StatusText }) =>
    /^building hello\/1\.0 on minimal for controller http/.test(StatusText!),
  );
  assert.notDeepEqual(await leftBehind(), []);
  const { stdout } = await container.run(["ps", "-C", "qemu-system-x86_64", "-o", "uid=,gid=,supgid="]);
  assert.match(stdout, /^ *70001 +70001 +-?\s*$/, "QEMU is nobody's");
  await systemctl("stop", first);
  assert.equal(gives.results.get("stopped"), "interrupt");
  const { ActiveState, Result, ExecMainStatus } = await show(first);
  assert.deepEqual([ActiveState, Result, ExecMainStatus], ["inactive", "success", "0"]);
  assert.deepEqual(await leftBehind(), []);
  assert.deepEqual(readdirSync(container.path("var", "lib", "croft", "spool", "default-1")).sort(), ["lock"]);
});

test("an agent that is killed is started again, and ends what its predecessor had left", async () => {
  await systemctl("start", first);
  await gives.building("killed");
  const { MainPID } = await show(first);
  await container.run(["kill", "-9", MainPID!]);
  await until(first, (now) => isActive(now) && now["NRestarts"] === "1" && now["MainPID"] !== MainPID);
  assert.equal(gives.results.get("killed"), "interrupt");
  assert.deepEqual(await leftBehind(), []);
});

test("SIGUSR2 lets the task be finished; then the agent ends, and is not started again", async () => {
  const answer = await gives.building("drained");
  const { NRestarts } = await show(first);
  await systemctl("kill", "--kill-whom=main", "--signal=USR2", first);
  const ended = until(first, ({ ActiveState }) => ActiveState === "inactive", machineSeconds);
  answer();
  const { Result, ExecMainStatus, NRestarts: restarts } = await ended;
  assert.deepEqual([Result, ExecMainStatus, restarts], ["success", "0", NRestarts]);
  assert.notEqual(gives.results.get("drained") ?? "interrupt", "interrupt");
  assert.deepEqual(await leftBehind(), []);
});

test("systemctl reload makes a changed configuration count; a bad one is an error, and the agent goes on", async () => {
  await systemctl("start", first);
  const asked = (path: string) => controller.received.filter((request) => request.path === path).length;
  writeFileSync(container.path(configuration), agentConfiguration(controller.url("/task/other")));
  await systemctl("reload", first);
  await until(first, () => asked("/task/other") > 0);
  writeFileSync(container.path(configuration), `${agentConfiguration(controller.url("/task"))}nonsense: 1\n`);
  await assert.rejects(systemctl("reload", first));
  assert.match(await journal(first), /agent\.yaml:\d+:1: nonsense: unknown key/);
  await systemctl("kill", "--kill-whom=main", "--signal=HUP", first);
  const text = await untilText(first, /configuration not reloaded/);
  assert.match(text, /configuration not reloaded.*agent\.yaml:\d+:1: nonsense: unknown key/);
  await until(first, ({ StatusText }) => /; new configuration refused: .*nonsense/.test(StatusText!));
  const count = asked("/task/other");
  await until(first, (now) => isActive(now) && asked("/task/other") > count);
  writeFileSync(container.path(configuration), agentConfiguration(controller.url("/task")));
  await systemctl("stop", first);
});

test("a machine works on a bridge of the host, too, within what the service may", async () => {
  for (const command of ["link add br1 type bridge", "address add 10.7.0.1/24 dev br1", "link set br1 up"])
    await container.run(["ip", ...command.split(" ")]);
  container.spawn([
    ...[
      "dnsmasq",
      "--keep-in-foreground",
      "--conf-file=/dev/null",
      "--pid-file",
      "--no-resolv",
      "--no-hosts",
    ],
    ...["--interface=br1", "--bind-interfaces", "--except-interface=lo", "--no-ping"],
    ...["--dhcp-range=10.7.0.100,10.7.0.200,2m", "--dhcp-leasefile=/run/leases"],
  ]);
  writeFileSync(
    container.path(configuration),
    `${agentConfiguration(controller.url("/task"))}network: bridge\nbridge: br1\n`,
  );
  gives.source = "http://nowhere.test/"; // the fetch fails, but the machine has talked to the agent
  gives.sessions.push("bridged");
  await systemctl("start", first);
  await until(first, () => gives.results.has("bridged"), machineSeconds);
  assert.equal(gives.results.get("bridged"), gives.results.get("drained"), await journal(first));
  await systemctl("stop", first);
  assert.deepEqual(await leftBehind(), []);
  const { stdout } = await container.run(["ip", "-brief", "link"]);
  assert.doesNotMatch(stdout, /^croft/m);
  writeFileSync(container.path(configuration), agentConfiguration(controller.url("/task")));
});

test("an agent that hangs is ended by the watchdog, and works again; one that works is left alone", async () => {
  await dropIn(first, "WatchdogSec=4", "RestartSec=100ms");
  await systemctl("start", first);
  // It works for longer than the watchdog waits.
  const { WatchdogTimestampMonotonic: start, NRestarts } = await show(first);
  const later = await until(
    first,
    (now) => Number(now["WatchdogTimestampMonotonic"]) - Number(start) > 5_000_000,
  );
  assert.deepEqual([later["ActiveState"], later["NRestarts"]], ["active", NRestarts]);
  await container.run(["kill", "-STOP", later["MainPID"]!]);
  const restarted = await until(
    first,
    (now) => isActive(now) && Number(now["NRestarts"]) === Number(NRestarts) + 1,
  );
  assert.notEqual(restarted["MainPID"], later["MainPID"]);
  assert.match(await journal(first), /Watchdog timeout \(limit 4s\)/);
  const asked = controller.received.length;
  await until(first, () => controller.received.length > asked);
  await systemctl("stop", first);
});

test("without libsystemd the watchdog is fed by the program", async () => {
  const { stdout } = await container.run(["ldconfig", "--print-cache"]);
  const library = /libsystemd\.so\.0 .*=> (\S+)/.exec(stdout)![1]!;
  await dropIn(second, "WatchdogSec=4", `InaccessiblePaths=${library}`);
  await systemctl("start", second);
  const { WatchdogTimestampMonotonic: start } = await show(second);
  const later = await until(
    second,
    (now) => Number(now["WatchdogTimestampMonotonic"]) - Number(start) > 5_000_000,
  );
  assert.equal(later["NRestarts"], "0");
  await systemctl("stop", second);
});

test("a configuration that cannot be used is status 2, and nobody tries again", async () => {
  writeFileSync(container.path(configuration), "cpu: 0\n");
  await systemctl("start", third).catch(() => {});
  const { ActiveState, ExecMainStatus, NRestarts } = await until(
    third,
    (now) => now["ActiveState"] === "failed",
  );
  assert.deepEqual([ActiveState, ExecMainStatus, NRestarts], ["failed", "2", "0"]);
  assert.match(await journal(third), /agent\.yaml:1:1: cpu: expected a whole number/);
  const refused = await container.run(
    [nodeInContainer, `${croftInContainer}/bin/croft.js`, "agent", "install"],
    {
      accept: [2],
    },
  );
  assert.match(refused.stderr, /agent\.yaml:1:1: cpu: /);
});

test("uninstalling removes the units, and nothing else", async () => {
  await systemctl("start", first).catch(() => {});
  await agent("install", "--uninstall");
  const left = readdirSync(container.path("etc", "systemd", "system"), {
    recursive: true,
    encoding: "utf8",
  });
  assert.deepEqual(
    left.filter((name) => name.startsWith("croft-agent") && !name.includes(".d")),
    ["croft-agent.target.wants"].filter((name) => left.includes(name)),
  );
  assert.ok(existsSync(container.path(configuration)));
});

test("the controller is installed by the same means, and works as a user of its own", async () => {
  const croft = [nodeInContainer, `${croftInContainer}/bin/croft.js`, "controller", "install"];
  const unit = "croft-controller.service";
  await container.run([...croft, "--now"]);
  const verified = await container.run(["systemd-analyze", "verify", unit]);
  assert.equal(verified.stdout + verified.stderr, "");
  assert.ok((await exposure(unit)) <= 4.0);
  // Once: whoever is told that it has started may ask it.
  const fetch = ["curl", "--location", "--silent", "--show-error"];
  const page = ["--output", "/dev/null", "--write-out", "%{http_code}", "http://127.0.0.1:8420/"];
  const { stdout } = await container.run([...fetch, ...page], {
    timeoutSeconds: 300,
  });
  assert.equal(stdout, "200", await journal(unit));
  const { MainPID, NRestarts } = await show(unit);
  assert.equal(NRestarts, "0");
  assert.match(await readFile(container.path("proc", MainPID!, "status"), "utf8"), /^Uid:\t(?!0\t)/m);
  await container.run([...croft, "--uninstall"]);
  assert.equal(existsSync(container.path("etc", "systemd", "system", unit)), false);
});
