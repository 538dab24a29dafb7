/** Hosts that fail in their own ways, while a matrix is built: only what fails everywhere is a failure. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { enterNetworkNamespace, sh } from "../fixtures/network.ts";
import { patienceSeconds } from "../fixtures/patience.ts";
import { makeSourceHistory } from "../fixtures/source-history.ts";
import { RunningBoss } from "./running-boss.ts";
import { startHosts, type SshHosts } from "./ssh-hosts.ts";

/** What a build needs besides the project: a program of the host's own, room for 4 MB, and a compiler. */
const configuration = `recipe:
  configure: PATH=$HOME/bin:$PATH; croft-test-tool && make -s O={out} {target}_defconfig
  build: PATH=$HOME/bin:$PATH; head -c 4000000 /dev/zero > {out}/big && make -s O={out} -j{jobs}
`;

function program(hosts: SshHosts, host: string, path: string, text: string): void {
  const file = join(hosts.hosts.get(host)!.home, path);
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}

/** What is sent to a host, or comes from it, is lost from now on. */
async function cutOff(port: number): Promise<void> {
  const chain = "chain out { type filter hook output priority 0;";
  await sh("nft", `table inet cut { ${chain} tcp dport ${port} drop; tcp sport ${port} drop; }; }`);
}

/** Makes a compiler that the real driver finds killed, as the kernel does for want of memory. */
async function killCompilers(hosts: SshHosts, host: string): Promise<void> {
  const compiler = (await sh("sh", "-c", "command -v gcc")).trim();
  const directory = join(hosts.hosts.get(host)!.home, "killed");
  program(hosts, host, "killed/cc1", "kill -KILL $$");
  program(hosts, host, "bin/gcc", `exec ${compiler} -B${directory}/ "$@"`);
}

/** Mounts a file system where a host builds that has room for the source alone. */
async function fillDisk(stack: AsyncDisposableStack, hosts: SshHosts, host: string): Promise<void> {
  const path = join(hosts.hosts.get(host)!.home, ".cache/croft/work/project");
  mkdirSync(path, { recursive: true });
  await sh("mount", "-t", "tmpfs", "-o", "size=3M,mode=755", "tmpfs", path);
  stack.defer(() => sh("umount", "--lazy", path).then(() => {}));
}

test("a killed compiler, a missing program, a full disk and a cut network are told once, and fail no target", async () => {
  await enterNetworkNamespace(); // it is to be cut, and vanishes with this process
  const names = ["sound", "killing", "lacking", "full", "cut"];
  await using hosts = await startHosts(names);
  await using stack = new AsyncDisposableStack();
  for (const name of names.filter((each) => each !== "lacking"))
    program(hosts, name, "bin/croft-test-tool", ":");
  await killCompilers(hosts, "killing");
  await fillDisk(stack, hosts, "full");

  // The bad one comes last, so that it is not the one that both lost hosts had: what loses two is given up.
  const targets = ["board_0", "board_1", "board_2", "board_3", "bad"];
  const source = join(hosts.directory, "project");
  makeSourceHistory(source, Object.fromEntries(targets.map((name) => [name, { seconds: 1 }])), [
    { breaks: ["bad"] },
  ]);
  const config = join(hosts.directory, "croft.yaml");
  writeFileSync(config, configuration);
  const args = ["build", "--json", "--no-local", "--config", config, "--hosts", names.join()];
  args.push("--output", join(hosts.directory, "results"), "--build-timeout", "20", "--max-builds", "1");
  args.push("--connect-timeout", String(patienceSeconds), "--count", "1", ...targets);
  // It comes when the others have shown what they are.
  const { sshd } = hosts.hosts.get("sound")!;
  sshd.kill("SIGSTOP");
  stack.defer(() => void sshd.kill("SIGCONT"));
  await using boss = new RunningBoss(args, hosts, source);
  await boss.until(({ event, host }) => event === "given" && host === "cut");
  await cutOff(hosts.hosts.get("cut")!.port);
  for (const name of ["killing", "lacking"])
    await boss.until(({ event, host }) => event === "doubted" && host === name);
  await boss.until(({ event, host }) => event === "lost" && host === "full");
  sshd.kill("SIGCONT");

  const { status, stderr } = await boss.ended;
  const { totals, lost, doubted, givenUp } = boss.summary;
  assert.equal(status, 2, stderr);
  assert.deepEqual([totals, givenUp], [{ built: 4, warning: 0, failed: 1, missing: 0 }, {}]);
  const failed = boss.events.filter(({ event, returnCode }) => event === "result" && returnCode !== 0);
  assert.deepEqual(
    failed.map(({ host, target }) => [host, target]),
    [["sound", "bad"]],
  );
  const reasons = (told: readonly { host: string; reason: string }[]) =>
    Object.fromEntries(told.map(({ host, reason }) => [host, reason]));
  assert.deepEqual(reasons(lost), { full: "its disk is full", cut: "no sign of life for 20 s" });
  assert.deepEqual(reasons(doubted as typeof lost), {
    killing: "gcc: fatal error: Killed signal terminated program cc1",
    lacking: "/bin/sh: 1: croft-test-tool: not found",
  });
  assert.deepEqual([lost.length, (doubted as typeof lost).length], [2, 2], "each once");
});
