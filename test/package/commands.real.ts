/** The main path of every command, from the installed package, with the programs of this host. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { temporaryDirectory, type TemporaryDirectory } from "../../os/files/temporary.ts";
import { killGroup } from "../../os/run.ts";
import { startHosts } from "../boss/ssh-hosts.ts";
import { tutorialScript } from "../boss/tutorial.ts";
import { followLines } from "../demo/service.ts";
import { patienceMs } from "../fixtures/patience.ts";
import { freePort } from "../fixtures/ports.ts";
import { serveSources } from "../worker/sources.ts";
import {
  completesCommands,
  copiesMachine,
  importsCutImage,
  looksAtManifests,
  Newcomer,
  usesBoss,
  usesFarm,
} from "./newcomer.ts";
import { npm, packPackage, systemEnvironment } from "./pack.ts";

describe("the installed package", () => {
  let directory: TemporaryDirectory;
  let env: NodeJS.ProcessEnv;
  let newcomer: Newcomer;
  let told: string[] = [];
  const at = (name: string) => join(directory.path, name);

  before(async () => {
    directory = await temporaryDirectory("croft-test-installed-");
    for (const name of ["prefix", "home"]) await mkdir(at(name));
    const tarball = await packPackage(directory.path);
    await npm(directory.path, "install", "--global", "--prefix", at("prefix"), tarball);
    env = {
      ...systemEnvironment,
      PATH: `${at("prefix/bin")}:${systemEnvironment["PATH"]}`,
      HOME: at("home"),
      XDG_STATE_HOME: "",
    };
    newcomer = new Newcomer(["sh", "-c"], (text) => told.push(text), env);
  });
  after(() => directory[Symbol.asyncDispose]());

  /** What was typed, and what came of it, is shown of a test that fails. */
  function step(name: string, does: () => Promise<void>): void {
    test(name, async (context) => {
      told = [];
      await does().catch((error: unknown) => {
        context.diagnostic(told.join(""));
        throw error;
      });
    });
  }

  /** A command that runs until the end of the test. @returns the file with what it says. */
  function start(resources: AsyncDisposableStack, name: string, ...args: string[]): string {
    const log = at(`${name}.log`);
    const output = openSync(log, "w");
    const argv = ["--pdeathsig", "TERM", "--", "croft", name, ...args];
    const child = spawn("setpriv", argv, { env, detached: true, stdio: ["ignore", output, output] });
    closeSync(output);
    const ended = once(child, "exit");
    resources.defer(async () => {
      killGroup(child.pid, "SIGTERM");
      await ended;
    });
    return log;
  }

  step("looks at manifests, and has a manual", async () => {
    await looksAtManifests(newcomer);
    await completesCommands(newcomer);
    assert.match(await readFile(at("prefix/share/man/man1/croft-agent.1"), "utf8"), /^\.TH "CROFT/m);
  });

  step("makes a machine that builds, is held, looked into, and removed", async () => {
    await using resources = new AsyncDisposableStack();
    const machines = `--machines ${at("machines")}`;
    const runtime = `--runtime ${at("run")}`;
    await newcomer.types(`croft machine create small --minimal ${machines}`);
    assert.match(await newcomer.types(`croft machine show small ${machines}`), /small-1\.1/);
    await copiesMachine(newcomer, "small", machines);
    await importsCutImage(newcomer);
    const places = [machines, runtime, `--tftp ${at("tftp")}`, `--spool ${at("spool")}`];
    assert.match(await newcomer.types(`croft doctor ${places.join(" ")}`), /^ok +Node\.js: croft \S+ on v/m);
    const log = start(resources, "controller", "--listen", "127.0.0.1:0", "--data", at("data"));
    let url = "";
    for await (const line of followLines(log, AbortSignal.timeout(patienceMs)))
      if ((url = /^croft controller: (http:\S+?)\/?$/.exec(line)?.[1] ?? "") !== "") break;
    const port = String((await freePort()) - 1);
    const own = ["--toolchain-lock", at("lock"), "--tftp-port", port, "--poll-interval", "1"];
    start(resources, "agent", ...places.flatMap((place) => place.split(" ")), ...own, `${url}/agent/task`);
    const sources = resources.use(await serveSources());
    await usesFarm(newcomer, { url, sources, data: at("data"), machine: "small", machines, runtime });
    await resources.disposeAsync();
    assert.match(
      await newcomer.types(`croft agent rejected list --spool ${at("spool")}`),
      /^(nothing is kept aside$|ENTRY )/m,
    );
    const caches = await newcomer.types(`croft agent cache list --cache-directory ${at("caches")}`);
    assert.match(caches, /^there are no caches$/m);
    await newcomer.types(`croft machine remove small ${machines}`);
    assert.ok(!(await readdir(at("machines"), { recursive: true })).some((name) => name.includes("small")));
  });

  step("builds a matrix on hosts that ssh reaches", async () => {
    await using hosts = await startHosts(["alpha", "beta"], { path: systemEnvironment["PATH"]! });
    const person = { GIT_AUTHOR_NAME: "A", GIT_AUTHOR_EMAIL: "a@example.org" };
    const committer = { GIT_COMMITTER_NAME: "A", GIT_COMMITTER_EMAIL: "a@example.org" };
    const path = `${join(hosts.directory, "bin")}:${env["PATH"]}`;
    const desk = new Newcomer(["sh", "-c"], (text) => told.push(text), {
      ...{ ...env, ...person, ...committer, PATH: path },
    });
    await usesBoss(desk, `cd ${at("home")}; ${tutorialScript()}`, at("home/hello"));
    for (const did of desk.did) newcomer.did.add(did);
  });

  step("shows services as it would install them", async () => {
    // Not from a directory for temporary files, where a service does not see it.
    const refused = await newcomer.types("croft agent install --dry-run", { status: 1 });
    assert.match(refused, /lies in a directory for temporary files/);
    const elsewhere = `mount --bind ${at("prefix")} /opt && PATH=/opt/bin:$PATH`;
    const root = new Newcomer(["unshare", "--mount", "sh", "-c"], (text) => told.push(text), env);
    for (const [command, unit] of [
      ["agent install", /^ +ExecStart=\/opt\/.* agent --systemd-daemon --config \S+ --instance %i$/m],
      ["controller install", /^ +ExecStart=\/opt\/.* controller .*--config \S+/m],
    ] as const) {
      assert.match(await root.types(`${elsewhere} croft ${command} --dry-run`), unit);
      newcomer.did.add(`croft ${command}`);
    }
  });

  step("says what npm has left out, before it does anything", async () => {
    const modules = at("prefix/lib/node_modules/croft/node_modules");
    await rm(join(modules, "@antoniomuso"), { recursive: true });
    const started = await newcomer.types("croft agent http://a.example/agent/task", { status: 1 });
    assert.match(
      started,
      /^croft: Cannot start: the compiled part for linux-\S+ of lz4-napi is not installed$/m,
    );
    await newcomer.types("croft builds --help"); // does not need it
    for (const name of await readdir(modules))
      if (name.startsWith("node-linux-")) await rm(join(modules, name), { recursive: true });
    const node = await newcomer.types("node --version");
    if (Number(/^v(\d+)/.exec(node)![1]) >= 24) return;
    const said = await newcomer.types("croft --version", { status: 1 });
    const found = `this is ${node.trim()}, and the package node-linux-${process.arch} is not installed`;
    assert.ok(said.startsWith(`croft: Cannot start: Node.js 24 or newer is needed, ${found}\n`), said);
    assert.match(said, /^ {2}npm leaves it out with --omit=optional/m);
  });

  // What makes a machine anew, and boots one more, is typed in the bare root (bare-root.long.ts).
  step("has no other command whose main path was not gone here", () =>
    newcomer.assertDidEverything(["croft machine update"]),
  );
});
