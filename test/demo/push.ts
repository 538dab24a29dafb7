/** The demo's forge: somebody pushes to a repository, and it tells the controller by a hook, as Gitea does. */
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../../os/failure.ts";
import { run } from "../../os/run.ts";
import { doubles, sendHook } from "../controller/forges/payloads.ts";
import type { Source } from "./source.ts";

const forge = doubles.find(({ name }) => name === "gitea")!;
const branch = "main";
const secret = randomBytes(20).toString("hex");

/** Writes a controller's configuration that has pushes to a source's repository built. @returns the file. */
export async function configureHook({ name, repository }: Source, directory: string): Promise<string> {
  const file = join(directory, "controller.yaml");
  await writeFile(join(directory, "hook.secret"), secret, { mode: 0o600 });
  await writeFile(
    file,
    `repositories:
  - name: ${name}
    url: ${repository}
    forge: ${forge.name}
    secret-file: ${join(directory, "hook.secret")}
    branches: [${branch}]
    source-file: false # which the controller would read at an address that only machines have
`,
  );
  return file;
}

/**
 * Pushes what lies in a work tree, and tells the controller.
 *
 * @returns what was pushed, and the build that it started.
 * @throws {Failure} if the controller takes no notice.
 */
export async function push(
  controller: string,
  { name, work }: Source,
): Promise<{ commit: string; build: number }> {
  const git = async (...args: string[]) =>
    (await run(["git", "-C", work!.tree, ...args], { timeoutSeconds: 60 })).stdout.trim();
  await git("push", "--quiet", work!.bare, branch);
  const commit = await git("rev-parse", "HEAD");
  const subject = await git("log", "-1", "--format=%s");
  const happening = { kind: "push", reference: branch, commit, repository: name, subject } as const;
  const { status, answer } = await sendHook(controller, forge, happening, { secret, hook: name });
  const [build] = answer.builds ?? [];
  if (build) return { commit, build: build.id };
  throw new Failure(
    "start a build by a push",
    answer.error ?? answer.ignored ?? `the controller answers ${status}`,
  );
}
