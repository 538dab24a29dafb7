/**
 * Fetches one file of a repository at a commit. What git is told by a server is a stranger's work: it runs in a group of its own
 * with limits of time and of what it may write, speaks only the protocols that are allowed, follows no redirect, takes nobody's
 * configuration, and runs nothing of the repository.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { HandedCredential } from "../../manifests/own/handed-secrets.ts";
import { Failure } from "../../os/failure.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { ProgramFailure, run } from "../../os/run.ts";

/** Where a file is. */
interface Source {
  url: string;
  /** A full commit, or `refs/heads/…`. */
  what: string;
  file: string;
  /** Those that git may speak, such as `https`. */
  protocols: readonly string[];
  /** What the repository needs. */
  credential?: HandedCredential;
}

/** What was found. */
export interface Fetched {
  /** The commit that it is of. */
  commit: string;
  /** Undefined: there is no such file. */
  text: string | undefined;
}

const fetchSeconds = 60;
/** Of all that git writes into one file: commits, directories, and where the server knows no filters all files. */
const packBytes = 256 << 20;
const fileBytes = 64 << 10;

const settings = {
  "protocol.version": "2",
  "http.followRedirects": "false",
  "http.lowSpeedLimit": "1000",
  "http.lowSpeedTime": "20",
  "core.hooksPath": "/dev/null",
  "core.askPass": "true",
  "credential.helper": "",
  "transfer.fsckObjects": "true",
  "fetch.recurseSubmodules": "false",
  "gc.auto": "0",
  "maintenance.auto": "false",
};

/**
 * Fetches it.
 *
 * @throws {FetchFailure} if the server cannot be reached, or does not have the commit: it may be so later.
 * @throws {Failure} if the file is nothing that can be read.
 */
export async function fetchFile(source: Source, signal?: AbortSignal): Promise<Fetched> {
  const { url, what, file, protocols, credential } = source;
  await using directory = await temporaryDirectory("croft-source-");
  const repository = join(directory.path, "git");
  const login = credential && (await writeLogin(directory.path, url, credential));
  const options = [...Object.entries(settings), ...(login?.settings ?? [])].flatMap(([key, value]) => [
    ...["-c", `${key}=${value}`],
  ]);
  const git = async (keepBytes: number, ...args: string[]) =>
    await run(["prlimit", `--fsize=${packBytes}`, "--", "git", ...options, ...args], {
      timeoutSeconds: fetchSeconds,
      env: environmentFor(protocols, directory.path, login?.ssh),
      keepBytes,
      ...(signal && { signal }),
    });
  try {
    await git(4096, "init", "--quiet", "--bare", "--template=", repository);
    const inside = ["--git-dir", repository];
    await git(4096, ...inside, "remote", "add", "origin", url);
    const way = ["fetch", "--quiet", "--depth=1", "--no-tags", "--filter=blob:none", "origin", what];
    await git(4096, ...inside, ...way);
    const commit = (await git(4096, ...inside, "rev-parse", "FETCH_HEAD^{commit}")).stdout.trim();
    const { stdout } = await git(4096, ...inside, "ls-tree", "-z", commit, "--", file);
    if (stdout === "") return { commit, text: undefined };
    const [, mode, kind, object] = /^(\d+) (\w+) ([0-9a-f]+)\t/.exec(stdout) ?? [];
    if (kind !== "blob" || mode === "120000") throw fileFailure(file, "it is no plain file");
    const size = Number((await git(4096, ...inside, "cat-file", "-s", object!)).stdout);
    if (size > fileBytes) throw fileFailure(file, `it has ${size} bytes; ${fileBytes} are the most`);
    return { commit, text: (await git(fileBytes, ...inside, "cat-file", "blob", object!)).stdout };
  } catch (error) {
    if (!(error instanceof ProgramFailure)) throw error;
    throw new FetchFailure(`read '${file}' of ${url}`, reasonIn(error), { cause: error });
  }
}

/** The server did not give what was asked for; it may do so later. */
export class FetchFailure extends Failure {}

function fileFailure(file: string, reason: string): Failure {
  return new Failure(`use '${file}'`, reason);
}

function environmentFor(protocols: readonly string[], home: string, ssh?: string): NodeJS.ProcessEnv {
  const { PATH, SSH_AUTH_SOCK } = process.env;
  return {
    PATH,
    ...(SSH_AUTH_SOCK === undefined || ssh !== undefined ? {} : { SSH_AUTH_SOCK }),
    HOME: home,
    LC_ALL: "C",
    GIT_ALLOW_PROTOCOL: protocols.join(":"),
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_TERMINAL_PROMPT: "0",
    GIT_SSH_COMMAND: ssh ?? "ssh -o BatchMode=yes -o ConnectTimeout=20",
  };
}

/**
 * Has git log in at this URL, and at no other one: what it needs lies in files of its directory, so that no list of processes shows it.
 *
 * @returns settings of git, or the command for ssh.
 */
async function writeLogin(
  directory: string,
  url: string,
  { user, password, key, knownHosts }: HandedCredential,
): Promise<{ settings: [string, string][]; ssh?: string }> {
  const write = async (name: string, text: string) => {
    const path = join(directory, name);
    await writeFile(path, `${text}\n`, { mode: 0o600 });
    return `'${path.replaceAll("'", `'\\''`)}'`;
  };
  if (key === undefined) {
    const { protocol, host, pathname } = new URL(url);
    const [name, word] = [user ?? "", password ?? ""].map(encodeURIComponent);
    const file = await write("login", `${protocol}//${name}:${word}@${host}${pathname}`);
    return {
      settings: [
        ["credential.helper", `store --file ${file}`],
        ["credential.useHttpPath", "true"],
      ],
    };
  }
  const hasUser = /^(?:[a-z+]+:\/\/)?[^/@:]+@/i.test(url);
  const words = [
    "ssh -F none -o BatchMode=yes -o ConnectTimeout=20 -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes",
    `-o GlobalKnownHostsFile=/dev/null -o UserKnownHostsFile=${await write("known-hosts", knownHosts ?? "")}`,
    `-i ${await write("key", key)}`,
    ...(user === undefined || hasUser ? [] : [`-l '${user.replaceAll("'", "")}'`]),
  ];
  return { settings: [], ssh: words.join(" ") };
}

/** What git says last, in one line. */
function reasonIn({ reason, output }: ProgramFailure): string {
  const said = output
    .split("\n")
    .map((line) => line.replace(/^(fatal|error|remote): /, "").trim())
    .filter((line) => line !== "");
  // Of a server's other key ssh tells at length, and at last what it comes to.
  const first = said.findIndex((line) => /^Host key verification failed/.test(line));
  const from = Math.max(0, first);
  return said.length === 0
    ? reason
    : said
        .slice(from, from + 2)
        .join("; ")
        .slice(0, 500);
}
