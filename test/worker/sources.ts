/** Sources for the guest's worker to fetch: archives and repositories on a web server on loopback. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";

/** A directory and the web server that shows it; to git, a server of the "dumb" kind. */
export interface Sources extends AsyncDisposable {
  readonly directory: string;
  readonly url: string;
}

export async function serveSources(): Promise<Sources> {
  await using stack = new AsyncDisposableStack();
  const { path: directory } = stack.use(await temporaryDirectory("croft-test-sources-"));
  const server = createServer((request, response) => {
    const path = join(directory, normalize(decodeURIComponent(request.url!.split("?")[0]!)));
    readFile(path).then(
      (content) => response.end(content),
      () => response.writeHead(404).end(),
    );
  });
  stack.defer(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const resources = stack.move();
  return {
    directory,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Writes a tree of executable files. */
export async function writeTree(directory: string, files: Record<string, string | Buffer>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(directory, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
    await chmod(path, 0o755);
  }
}

/** Packs a source tree as `<name>-<version>.tar.gz` (or another archive) with its one directory. */
export async function packSource(
  sources: Sources,
  files: Record<string, string | Buffer>,
  archive = "hello-1.0.tar.gz",
): Promise<void> {
  await using tree = await temporaryDirectory("croft-test-tree-");
  const top = archive.replace(/\.(tar\.\w+|tgz|zip|tar)$/, "");
  await writeTree(join(tree.path, top), files);
  const target = join(sources.directory, archive);
  const argv = archive.endsWith(".zip") ? ["zip", "-q", "-r", target, top] : ["tar", "-caf", target, top];
  await run(argv, { timeoutSeconds: 300, cwd: tree.path });
}

/** A shell script as an operation of a source. */
export function script(...lines: string[]): string {
  return ["#!/bin/sh", ...lines, ""].join("\n");
}

/** Runs git without this host's configuration. */
export async function git(directory: string, ...args: string[]): Promise<string> {
  const identity = [
    "-c",
    "user.name=Tester",
    "-c",
    "user.email=tester@example.org",
    "-c",
    "init.defaultBranch=main",
  ];
  const env = { PATH: process.env["PATH"], GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" };
  const { stdout } = await run(["git", "-C", directory, ...identity, ...args], { timeoutSeconds: 300, env });
  return stdout.trim();
}
