/**
 * Hosts for tests: an sshd on loopback for each, with a home directory of its own, and an `ssh` in PATH that knows them by
 * name, as the user's configuration would. The ssh is the system's.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { freePort } from "../fixtures/ports.ts";
import { patienceMs } from "../fixtures/patience.ts";

export interface SshHost {
  name: string;
  home: string;
  port: number;
  sshd: ChildProcess;
}

export interface SshHosts extends AsyncDisposable {
  directory: string;
  hosts: Map<string, SshHost>;
  /** With the `ssh` that knows the hosts. */
  env: NodeJS.ProcessEnv;
}

interface HostOptions {
  /** Names that lead nowhere. */
  unreachable?: readonly string[];
  path?: string;
  /** Where the hosts' sshd listen and run, instead of on this one's loopback. */
  at?: { address: string; enter: readonly string[] };
}

/** Starts hosts. */
export async function startHosts(names: readonly string[], options: HostOptions = {}): Promise<SshHosts> {
  const { address = "127.0.0.1" } = options.at ?? {};
  await using stack = new AsyncDisposableStack();
  const { path: directory } = stack.use(await temporaryDirectory("croft-test-ssh-"));
  const key = join(directory, "key");
  await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], { timeoutSeconds: 300 });
  await mkdir("/run/sshd", { recursive: true });
  const hosts = new Map<string, SshHost>();
  let client = "";
  for (const name of names) {
    const host = await startHost(name, directory, key, options);
    stack.defer(() => stop(host.sshd));
    hosts.set(name, host);
    client += clientConfiguration(name, { address, port: host.port }, directory, key);
  }
  for (const name of options.unreachable ?? [])
    client += clientConfiguration(name, { address, port: await freePort() }, directory, key);
  await writeFile(join(directory, "config"), client, { mode: 0o600 });
  const bin = join(directory, "bin");
  await mkdir(bin);
  const ssh = (await run(["sh", "-c", "command -v ssh"], { timeoutSeconds: 300 })).stdout.trim();
  await writeFile(join(bin, "ssh"), `#!/bin/sh\nexec ${ssh} -F ${join(directory, "config")} "$@"\n`, {
    mode: 0o755,
  });
  const owned = stack.move();
  return {
    directory,
    hosts,
    env: { ...process.env, PATH: `${bin}:${process.env["PATH"]}` },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function startHost(
  name: string,
  directory: string,
  key: string,
  { path = process.env["PATH"], at }: HostOptions,
): Promise<SshHost> {
  const { address, enter } = at ?? { address: "127.0.0.1", enter: [] };
  const home = join(directory, name);
  await mkdir(home);
  await symlink(await compiledWorkers(), join(home, ".compiled"));
  const hostKey = join(directory, `${name}.key`);
  await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", hostKey], { timeoutSeconds: 300 });
  const port = await freePort();
  const configuration = [
    `Port ${port}`,
    `ListenAddress ${address}`,
    `HostKey ${hostKey}`,
    `AuthorizedKeysFile ${key}.pub`,
    "PasswordAuthentication no",
    "UsePAM no",
    "StrictModes no",
    "PermitRootLogin yes",
    "PidFile none",
    "MaxStartups 100",
    "MaxSessions 100",
    `SetEnv HOME=${home} PATH=${path} NODE_COMPILE_CACHE=${home}/.compiled NODE_COMPILE_CACHE_PORTABLE=1`,
  ];
  const file = join(directory, `${name}.sshd`);
  await writeFile(file, `${configuration.join("\n")}\n`);
  const [program, ...args] = [...enter, "/usr/sbin/sshd", "-D", "-e", "-f", file];
  const sshd = spawn(program!, args, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  sshd.stderr!.setEncoding("utf8").on("data", (text: string) => (said += text));
  const deadline = performance.now() + patienceMs;
  while (!(await answers(address, port))) {
    if (sshd.exitCode !== null || performance.now() > deadline)
      throw new Error(`sshd does not start: ${said}`);
    await delay(20);
  }
  return { name, home, port, sshd };
}

/**
 * Where hosts keep what Node.js makes of the worker's sources, which is two thirds of a worker's start: in one directory for
 * all of them, as it goes by where a file is from here, and that is the same in each home directory.
 */
async function compiledWorkers(): Promise<string> {
  const directory = packageFile(".cache", "compiled-workers");
  await mkdir(directory, { recursive: true });
  return directory;
}

function clientConfiguration(
  name: string,
  { address, port }: { address: string; port: number },
  directory: string,
  key: string,
): string {
  return [
    `Host ${name}`,
    `  HostName ${address}`,
    `  Port ${port}`,
    `  User ${userInfo().username}`,
    `  IdentityFile ${key}`,
    "  IdentitiesOnly yes",
    `  UserKnownHostsFile ${join(directory, "known_hosts")}`,
    "  GlobalKnownHostsFile /dev/null",
    "  LogLevel ERROR",
    "",
  ].join("\n");
}

/** Also the processes that serve connections: they are children of the first. */
async function stop(sshd: ChildProcess): Promise<void> {
  if (sshd.exitCode !== null || sshd.pid === undefined) return;
  const children = await childrenOf(sshd.pid);
  const closed = new Promise((resolve) => sshd.once("close", resolve));
  sshd.kill("SIGTERM");
  for (const pid of children) {
    try {
      process.kill(pid, "SIGTERM");
    } catch {
      // it has ended
    }
  }
  await closed;
}

/** Pids of the processes that serve the connections of an sshd. */
export async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return text.split(" ").filter(Boolean).map(Number);
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host });
    socket.once("data", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
