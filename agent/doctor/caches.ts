/** What builds find of earlier ones: whether it can be made, and how much room it takes. */
import { existsSync } from "node:fs";
import { freeBytes } from "../../os/files/free-space.ts";
import { run } from "../../os/run.ts";
import { formatBytes } from "../../os/text/size.ts";
import { reasonOf } from "../../os/failure.ts";
import { versionsIn } from "../caches/versions.ts";
import type { Settings } from "../settings/settings.ts";
import { ok, problem, warning, type Check, type Finding } from "./check.ts";

export const cacheChecks: readonly Check[] = [{ name: "caches", run: checkCaches }];

const subject = "caches";

async function checkCaches({ caches, cacheDirectory, cacheMaxBytes }: Settings): Promise<Finding[]> {
  if (caches.length === 0) return [];
  try {
    await run(["mkfs.ext4", "-V"], { timeoutSeconds: 10 });
  } catch (error) {
    return [problem(subject, `no mkfs.ext4: ${reasonOf(error)}`, "apt-get install e2fsprogs")];
  }
  if (!existsSync(cacheDirectory)) return [ok(subject, `none yet in ${cacheDirectory}`)];
  const versions = await versionsIn(cacheDirectory);
  const bytes = versions.reduce((sum, version) => sum + version.bytes, 0);
  const found = `${versions.length} for ${caches.length} names, ${formatBytes(bytes)} of ${formatBytes(cacheMaxBytes)}`;
  const free = await freeBytes(cacheDirectory);
  if (free >= cacheMaxBytes - bytes) return [ok(subject, found)];
  const text = `${found}; only ${formatBytes(free)} are free at ${cacheDirectory}`;
  return [warning(subject, text, "Make room, or give a smaller --cache-max")];
}
