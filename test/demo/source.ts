/** What the demo builds: the sample project, a repository of this host, or one from elsewhere. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { makeRepository, serveGit } from "../fixtures/services/git-server.ts";

/** A source, and how long it is served if it is ours. */
export interface Source extends AsyncDisposable {
  /** As a build machine reaches it. */
  readonly repository: string;
  readonly name: string;
  readonly version: string;
  readonly described: string;
  /** Of the sample: the work tree that is pushed, and the repository that it is pushed to, which has nothing yet. */
  readonly work?: { tree: string; bare: string };
}

const sampleName = "tally";
const sampleVersion = "1.2.0";

/** Gets a source ready: `given` is a git URL, a directory with a git repository, or nothing for the sample. */
export async function openSource(
  given: string | undefined,
  directory: string,
  signal: AbortSignal,
): Promise<Source> {
  if (given !== undefined && !existsSync(given)) return remote(given);
  await mkdir(directory, { recursive: true });
  let name = sampleName;
  const bare = () => join(directory, `${name}.git`);
  if (given === undefined) {
    const files = packageFile("test", "fixtures", "sample-project");
    await makeRepository(directory, `${name}.git`, files, `v${sampleVersion}`);
    await run(["git", "-C", bare(), "update-ref", "-d", "refs/heads/main"], { timeoutSeconds: 60 });
  } else {
    name = basename(resolve(given)).replace(/\.git$/, "");
    await run(["git", "clone", "--quiet", "--bare", resolve(given), bare()], {
      timeoutSeconds: 600,
      signal,
    });
  }
  const server = await serveGit(directory);
  return {
    repository: server.url(`${name}.git`, "guest"),
    name,
    version: given === undefined ? sampleVersion : "0",
    described: given === undefined ? "the sample project test/fixtures/sample-project" : resolve(given),
    ...(given === undefined ? { work: { tree: join(directory, `${name}.git.work`), bare: bare() } } : {}),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** A server on this host's loopback has another address in the machine. */
function remote(given: string): Source {
  const repository = given.replace(/^(https?:\/\/)(localhost|127\.0\.0\.1|\[::1\])(?=[:/])/, "$110.0.2.2");
  const path = repository.replace(/[#?].*$/, "").replace(/\/+$/, "");
  return {
    repository,
    name: basename(path).replace(/\.git$/, "") || "package",
    version: "0",
    described: given,
    [Symbol.asyncDispose]: async () => {},
  };
}
