/** What keeps a host from building any task, with a machine that is ready: nobody is asked, so that no build is used up. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { machinePaths } from "../../machines/layout.ts";
import { hostArchitecture, qemuFor } from "../../machines/qemu/architecture.ts";
import { parseResultRequest } from "../../manifests/result-request.ts";
import { run } from "../../os/run.ts";
import { patienceMs } from "../fixtures/patience.ts";
import { FakeController } from "./fake-controller.ts";
import { AgentHome, header, task } from "./running-agent.ts";

/** An agent with the bootstrapped machine `m`, and what it has said. */
class Host implements AsyncDisposable {
  readonly home: AgentHome;
  readonly controller: FakeController;
  readonly #stack: AsyncDisposableStack;
  #said = "";
  #agent: ReturnType<AgentHome["start"]> | undefined;

  private constructor(home: AgentHome, controller: FakeController, stack: AsyncDisposableStack) {
    this.home = home;
    this.controller = controller;
    this.#stack = stack;
  }

  static async make(): Promise<Host> {
    await using stack = new AsyncDisposableStack();
    const home = stack.use(await AgentHome.make());
    await chmod(home.path, 0o711); // machines' user runs the test's own QEMU
    const controller = stack.use(await FakeController.start());
    return new Host(home, controller, stack.move());
  }

  async publishMachine(): Promise<void> {
    const { current, bootstrapped } = machinePaths(this.home.at("machines"), "volume", "m", "default");
    const manifest = `${header}type: kvm\n`;
    for (const [path, text] of [
      [`${current}.1`, manifest],
      [bootstrapped, `${manifest}mac: 02:00:00:00:00:01\n:\nid: bogus\n:\n`],
    ] as const) {
      await mkdir(path, { recursive: true });
      await writeFile(`${path}/manifest`, text);
    }
    await symlink("m-1.1", current);
  }

  start(...options: string[]): void {
    const agent = this.home.start([...options, this.controller.url("/task")], { fake: false });
    agent.child.stderr!.on("data", (chunk: Buffer) => (this.#said += chunk.toString()));
    this.#agent = agent;
  }

  /** Waits for words that are said from now on. */
  async untilSaid(words: RegExp): Promise<void> {
    const signal = AbortSignal.timeout(patienceMs);
    for (const from = this.#said.length; !words.test(this.#said.slice(from));)
      await once(this.#agent!.child.stderr!, "data", { signal });
  }

  /** Waits until the agent has said twice why it asks nobody, and makes sure that it asked nobody in between. */
  async assertSilent(words: RegExp): Promise<void> {
    await this.untilSaid(words);
    const before = this.controller.received.length;
    await this.untilSaid(words);
    assert.equal(this.controller.received.length, before, "it asks nobody");
  }

  async assertAsks(): Promise<void> {
    await this.controller.requests("/task", this.#asked() + 1);
  }

  #asked(): number {
    return this.controller.received.filter(({ path }) => path === "/task").length;
  }

  async stop(): Promise<void> {
    this.#agent!.child.kill("SIGTERM");
    assert.equal((await this.#agent!.ended).status, 0, this.#said);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

async function installedQemu(): Promise<string> {
  const { stdout } = await run(["which", qemuFor(hostArchitecture())], { timeoutSeconds: 60 });
  return stdout.trim();
}

test("QEMU is removed, or broken by an update, while the agent runs: nobody is asked until it is there again", async () => {
  await using host = await Host.make();
  await host.publishMachine();
  const qemu = host.home.at("qemu");
  const real = await installedQemu();
  await symlink(real, qemu);
  host.start("--qemu", qemu);
  await host.assertAsks();
  await rm(qemu);
  await host.assertSilent(/Cannot start '\S+qemu': there is no such program/);
  await writeFile(qemu, "#!/bin/sh\necho no libraries >&2\nexit 127\n", { mode: 0o755 });
  await host.untilSaid(/Cannot start '\S+qemu': .*no libraries/);
  await rm(qemu);
  await symlink(real, qemu);
  await host.assertAsks();
  await host.stop();
});

test("a volume of machines is full: nobody is asked until there is room", async () => {
  await using host = await Host.make();
  const volume = host.home.at("machines", "volume");
  await mkdir(volume);
  await run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", volume], { timeoutSeconds: 300 });
  await using _ = {
    [Symbol.asyncDispose]: async () => void (await run(["umount", "-l", volume], { timeoutSeconds: 300 })),
  };
  await host.publishMachine();
  host.start();
  await host.assertAsks();
  const fill = ["dd", "if=/dev/zero", `of=${volume}/ballast`, "bs=4k"];
  await run(fill, { timeoutSeconds: 300, accept: [1] });
  await host.assertSilent(/Cannot build with '\S+volume': only 0 bytes are free there, 51.2 KiB are needed/);
  await rm(`${volume}/ballast`);
  await host.assertAsks();
  await host.stop();
});

test("what is found with a task after all is told as the host's fault, and not as the build's", async () => {
  await using host = await Host.make();
  await host.publishMachine();
  const qemu = host.home.at("qemu");
  const pretends = `#!/bin/sh\n[ "$1" = --version ] && exit 0\necho no memory >&2\nexit 1\n`;
  await writeFile(qemu, pretends);
  await chmod(qemu, 0o755);
  const { controller } = host;
  let given = 0;
  controller.answer = ({ path }) => {
    if (path !== "/task") return { status: 204 };
    const body =
      given++ === 0 ? `: 1\nsession: s1\nresult-url: ${controller.url("/result")}\n:\n${task}` : "";
    return { body: body || ": 1\nsession:\n" };
  };
  host.start("--qemu", qemu);
  const [sent] = await controller.requests("/result", 1);
  const { result } = parseResultRequest(sent!.body);
  assert.deepEqual(
    [result.status, result.operations.map(({ name, status }) => [name, status])],
    ["abort", [["agent", "abort"]]],
  );
  await host.stop();
});
