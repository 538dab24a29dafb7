/** What a cache begins with. */
import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectory } from "../../os/files/directories.ts";
import { randomTail } from "../../os/files/random-tail.ts";
import { run } from "../../os/run.ts";
import { attempt } from "../../os/failure.ts";
import type { CacheSetting } from "../settings/cache-setting.ts";
import { emptyName } from "./layout.ts";

const makeTimeoutSeconds = 3600;

/**
 * Without a journal: a clone whose machine ended in the middle is never used again. The rest are features that kernels have had for ten
 * years, whatever the host's mke2fs makes unless told.
 */
const features = [
  ...["none", "filetype", "extent", "dir_index", "sparse_super", "large_file", "huge_file"],
  ...["flex_bg", "64bit", "dir_nlink", "extra_isize", "metadata_csum"],
];

/**
 * The image that a cache begins with; made when it is needed first, and again when its directory has another time.
 *
 * @throws {Failure} if there is no mkfs.ext4, or no room.
 */
export async function emptyImage(
  directory: string,
  { bytes, from }: CacheSetting,
  signal: AbortSignal,
): Promise<string> {
  const of = from === undefined ? [] : [from, statSync(from, { throwIfNoEntry: false })?.mtimeMs];
  const digest = createHash("sha256").update(JSON.stringify([bytes, features, ...of]));
  const image = join(directory, emptyName, `${digest.digest("hex").slice(0, 32)}.img`);
  if (existsSync(image)) return image;
  await makeDirectory(join(directory, emptyName));
  const made = `${image}.${randomTail()}`; // another instance may do the same
  try {
    await attempt(`make '${image}'`, makeSparse(made, bytes));
    const content = from === undefined ? [] : ["-d", from];
    const options = ["-m", "0", "-O", features.join(","), "-E", "lazy_itable_init=0,root_owner=0:0"];
    const argv = ["mkfs.ext4", "-q", "-F", ...options, ...content, made];
    await run(argv, { timeoutSeconds: makeTimeoutSeconds, signal });
    await attempt(`make '${image}'`, rename(made, image));
    return image;
  } finally {
    await rm(made, { force: true });
  }
}

async function makeSparse(path: string, bytes: number): Promise<void> {
  const file = await open(path, "wx", 0o600);
  await file.truncate(bytes).finally(() => file.close());
}
