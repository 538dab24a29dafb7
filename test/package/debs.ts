/** Debian packages of this clone, and bare Debian roots with a systemd that they are installed in. */
import { existsSync, readdirSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { packageFile } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";

/** Builds packages by `packaging/main.ts`. @returns their paths, by name */
export async function buildDebs(output: string, ...args: readonly string[]): Promise<string[]> {
  const argv = [process.execPath, packageFile("packaging", "main.ts"), "--output", output, ...args];
  await run(argv, { timeoutSeconds: 3000, cwd: packageFile() });
  return readdirSync(output)
    .filter((name) => name.endsWith(".deb"))
    .sort()
    .map((name) => join(output, name));
}

/** The paths of what a package has, with modes and owners, as dpkg-deb lists them. */
export async function contentsOf(deb: string): Promise<Map<string, string>> {
  const { stdout } = await run(["dpkg-deb", "--contents", deb], { timeoutSeconds: 300, keepBytes: 1 << 24 });
  const lines = stdout.trimEnd().split("\n");
  return new Map(
    lines.map((line) => {
      const [, mode, path] = /^(\S+ \S+) +\d+ \S+ \S+ \.(\/.*)$/.exec(line)!;
      return [path!, mode!];
    }),
  );
}

/** Lays a bare root of a Debian suite, with systemd and nothing else that is not essential. */
export async function layBareRoot(suite: string, root: string): Promise<void> {
  const cached = packageFile(".cache", "roots", `systemd-${suite}.tar`);
  if (!existsSync(cached)) {
    await mkdir(packageFile(".cache", "roots"), { recursive: true });
    const made = `${cached}.${process.pid}.tar`;
    const argv = ["mmdebstrap", "--variant=minbase", "--include=systemd-sysv,dbus", suite, made];
    await run(argv, { timeoutSeconds: 1700, keepBytes: 65536 });
    await rename(made, cached);
  }
  await mkdir(root, { recursive: true });
  await run(["tar", "-xpf", cached, "-C", root], { timeoutSeconds: 600 });
}
