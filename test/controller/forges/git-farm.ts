/** A controller for a repository that is served by git on loopback, whose commits tests make. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { OpenController } from "../../../controller/controller.ts";
import { startServer } from "../../../controller/server.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";
import { serveGit } from "../../fixtures/services/git-server.ts";
import { openFarm } from "../in-process.ts";
import { secret } from "./payloads.ts";

export interface GitFarm extends AsyncDisposable {
  controller: OpenController;
  url: string;
  /** Commits files (text by path; null removes one) to a branch, and serves it; the commit. */
  commit(files: Record<string, string | null>, branch?: string): Promise<string>;
  git(...args: string[]): Promise<string>;
  readonly work: string;
}

/** Opens one; `more` is added to the repository's configuration, `whole` to that of the controller. */
export async function openGitFarm(database: string, more = "", whole = ""): Promise<GitFarm> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await temporaryDirectory("croft-test-git-farm-"));
  const secretFile = join(path, "secret");
  writeFileSync(secretFile, `${secret}\n`, { mode: 0o600 });
  const [work, bare] = [join(path, "work"), join(path, "served/acme/hello")];
  mkdirSync(work);
  mkdirSync(dirname(bare), { recursive: true });
  const who = { GIT_AUTHOR_NAME: "Ann", GIT_AUTHOR_EMAIL: "ann@x.org" };
  const committer = { GIT_COMMITTER_NAME: "Ann", GIT_COMMITTER_EMAIL: "ann@x.org" };
  const isolation = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" };
  const env = { ...process.env, ...who, ...committer, ...isolation };
  const git = async (...args: string[]) =>
    (await run(["git", ...args], { timeoutSeconds: 300, cwd: work, env })).stdout.trim();
  await git("init", "--quiet", "--initial-branch=main");
  await git("init", "--quiet", "--bare", "--initial-branch=main", bare);
  const server = stack.use(await serveGit(join(path, "served")));
  const repository = `{ name: github, url: "${server.url("acme/hello")}", forge: github, secret-file: ${secretFile}${more && `, ${more}`} }`;
  const configuration = `listen: 127.0.0.1:0\ngit-protocols: [http]\nrepositories: [${repository}]\n${whole}`;
  const controller = stack.use(await openFarm(database, configuration));
  const { url } = stack.use(await startServer(controller));
  const held = stack.move();
  return {
    ...{ controller, url, git, work },
    commit: async (files, branch = "main") => {
      await git("checkout", "--quiet", "-B", branch);
      for (const [name, text] of Object.entries(files))
        if (text === null) await git("rm", "--quiet", "--force", name);
        else writeFileSync(join(work, name), text);
      await git("add", "--all");
      await git("commit", "--quiet", "--allow-empty", "--message", "Change");
      await git("push", "--quiet", "--force", bare, branch);
      return await git("rev-parse", "HEAD");
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
