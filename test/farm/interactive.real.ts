/** Interactive builds in real machines: a person looks into them by VNC and by the console, and lets them go on. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { interactiveLogin } from "../../agent/settings/interactive-login.ts";
import { packageFile } from "../../os/files/package.ts";
import { startFarm, type Farm } from "../fixtures/farm.ts";
import { freePort } from "../fixtures/ports.ts";
import { VncClient } from "../fixtures/vnc.ts";
import { packSource, script } from "../worker/sources.ts";
import { patienceSeconds } from "../fixtures/patience.ts";

let farm: Farm;
let screenPort: number;

before(async () => {
  const toolchain = 20 + Math.floor(Math.random() * 79);
  const offset = (toolchain - 1) * 100 + 1;
  screenPort = 5900 + offset;
  const agent = [
    ...["--interactive", "both", "--toolchain-num", String(toolchain)],
    ...["--tftp-port", String((await freePort()) - offset)],
  ];
  farm = await startFarm({
    ...{ machine: "minimal", from: "kept", ramKiB: 256 * 1024, agent },
    ...{ controller: "retries: 0\n", suspend: true },
  });
});

after(async () => {
  await farm[Symbol.asyncDispose]();
});

/**
 * What a guest tries at the port of a screen, which QEMU opens to all of the host's networks: to go in without a password, and
 * with a wrong one (RFC 6143, 7.1.2). What the other end says is printable words and numbers.
 */
const tryScreen = (port: number) =>
  ["\\001", "\\002................"].map(
    (said) =>
      `(sleep 1; printf 'RFB 003.008\\n${said}'; sleep 3) | timeout 60 busybox nc 10.0.2.2 ${port} | tr -c ' -~' ' '; echo`,
  );

/** Submits a build that shows whether its source was changed meanwhile. */
async function submit(name: string, interactive?: string, ...commands: string[]): Promise<number> {
  const files = {
    ".croft/update": script("cat secret", ...commands),
    ".croft/test": script("cat secret; exit 3"),
    secret: "as submitted\n",
  };
  await packSource(farm.sources, files, `${name}-1.0.tar.gz`);
  return await farm.submit({ name, ...(interactive === undefined ? {} : { interactive }) });
}

class Terminal implements AsyncDisposable {
  readonly #child: ChildProcess;
  /** From the start: it ends by itself when the machine does. */
  readonly #closed: Promise<unknown>;
  text = "";

  constructor() {
    const argv = [packageFile("bin", "main.ts"), "machine", "console", "minimal", "--runtime", farm.runtime];
    this.#child = spawn(process.execPath, argv, { stdio: ["pipe", "pipe", "inherit"] });
    this.#closed = once(this.#child, "close");
    this.#child.stdout!.on("data", (bytes: Buffer) => (this.text += bytes.toString()));
  }

  type(text: string): void {
    this.#child.stdin!.write(text);
  }

  async until(wanted: RegExp, seconds = patienceSeconds): Promise<void> {
    const signal = AbortSignal.timeout(seconds * 1000);
    while (!wanted.test(this.text))
      await once(this.#child.stdout!, "data", { signal }).catch((error: unknown) => {
        throw new Error(`no ${wanted} on the console: ${this.text}`, { cause: error });
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill();
    await this.#closed;
  }
}

test("at a breakpoint a person gets a shell on the console, changes the source, and lets the build go on", async () => {
  const id = await submit("console", "update");
  await farm.startAgent();
  const login = await farm.logUntil(id, patienceSeconds, /To look into it: (.*)/);
  const address = interactiveLogin({ interactive: "both", offset: screenPort - 5900 })!;
  assert.match(
    login[1]!,
    new RegExp(
      `^VNC to ${address} with password \\S{8}; or as \\w+ on \\S+: croft machine console minimal --runtime \\S+`,
    ),
  );
  const [, remove] = await farm.logUntil(id, patienceSeconds, /To let the build go on: (rm \S+)/);
  await using terminal = new Terminal();
  terminal.type("\r");
  await terminal.until(/A shell of build machine[^]*The build stands still before update\.[^]*[#$] /);
  terminal.type("pwd; cat secret; echo 'by hand' > secret\r");
  await terminal.until(/\/source\r\n[^]*as submitted/);
  terminal.type(`${remove}\r`);
  const view = await farm.ended(id);
  assert.deepEqual(
    view.operations.map(({ name, status }) => `${name} ${status}`),
    ["fetch success", "update success", "test error"],
  );
  assert.match(await farm.log(id), /by hand/);
});

test("by VNC from another host, with the password from the log: after an error; no machine gets in without", async () => {
  const id = await submit("vnc", "error", ...tryScreen(screenPort));
  const [, password] = await farm.logUntil(id, patienceSeconds, /with password (\S{8});/);
  await farm.logUntil(id, patienceSeconds, /The build stands still after test, whose status is error\./);
  assert.equal(
    (await farm.log(id)).match(/RFB 003\.008.*Authentication failed/g)?.length,
    2,
    await farm.log(id),
  );
  await assert.rejects(VncClient.connect(connect(screenPort, "127.0.0.1"), "wrong"), /refused/);
  using vnc = await VncClient.connect(connect(screenPort, "127.0.0.1"), password!);
  // Typed ahead: the shell reads it when it is there.
  vnc.type("\n");
  vnc.type("rm /run/croft/breakpoint\n");
  const view = await farm.ended(id);
  assert.equal(view.status, "error");
});

test("a breakpoint that there is not is an error that names those that there are", async () => {
  await assert.rejects(submit("unknown", "lunch"), /'lunch' is no breakpoint: there are fetch, configure/);
  // That of another kind of worker, for all that the controller knows.
  const id = await submit("unknown", "b.lunch");
  const view = await farm.ended(id);
  assert.equal(view.status, "error");
  assert.match(await farm.log(id), /There is no breakpoint 'b\.lunch'; there are: fetch configure/);
});

test("a person who does not come back: the build is aborted, its machine is not held, and the agent goes on", async () => {
  await farm.stopAgent();
  await farm.startAgent(["--interactive-timeout", "10"]);
  const id = await submit("lunch", "update");
  const view = await farm.ended(id);
  assert.equal(view.status, "abort");
  assert.match(await farm.log(id), /no result within 10 s/);
  const next = await submit("after");
  assert.equal((await farm.ended(next)).status, "error");
});
