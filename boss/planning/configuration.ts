/** `croft.yaml` in the source tree: hosts, toolchains, targets, and how a target is built. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { UsageFailure } from "../../os/failure.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { BossFile } from "./boss-file.ts";
import { checkDestination, checkHostName, type Host } from "../hosts/hosts.ts";

const defaultFileName = "croft.yaml";

const mostBytes = 1024 * 1024;

/**
 * `croft.yaml` of the source tree, if there is one.
 *
 * @throws {UsageFailure} if it is nothing that could be read to its end, such as a link to a device.
 */
export function foundConfiguration(source: string): string | undefined {
  const path = join(source, defaultFileName);
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return undefined;
  if (status.isFile() && status.size <= mostBytes) return path;
  throw new UsageFailure(
    `read configuration '${path}'`,
    status.isFile() ? `it is longer than ${mostBytes} bytes` : "it is no file",
  );
}

/**
 * Reads the configuration; without a file to read, an empty one.
 *
 * @param file given by the user; undefined: {@link foundConfiguration}.
 * @throws {UsageFailure} naming file, line, column and key.
 */
export async function readBossFile(file: string | undefined, source: string): Promise<BossFile> {
  const path = file ?? foundConfiguration(source);
  if (path === undefined) return {};
  const { readCheckedBossFile } = await import("./boss-file.ts");
  return await readCheckedBossFile(path);
}

/**
 * The hosts of the configuration.
 *
 * @throws {UsageFailure} for a name or destination that cannot be one.
 */
export function configuredHosts(file: BossFile, workDirectory: string): Host[] {
  return Object.entries(file.hosts ?? {}).map(([name, settings]) => {
    const destination = settings?.ssh ?? name;
    const wrong = checkHostName(name) ?? checkDestination(destination);
    if (wrong !== undefined) throw new UsageFailure(`use host '${name}'`, wrong);
    const maxBuilds = settings?.["max-builds"];
    return {
      name,
      destination,
      workDirectory: settings?.["work-dir"] ?? workDirectory,
      ...withoutUndefined({ maxBuilds }),
    };
  });
}
