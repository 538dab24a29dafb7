/** An image whose cloud-init is played by a script: what a host does with it, without the minutes that a real one takes. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageFile } from "../../../os/files/package.ts";
import { run } from "../../../os/run.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";

const limit = { timeoutSeconds: patienceSeconds };

/** A user's PATH may lack their directories. */
export const withSystemPrograms = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` };

interface PlayedImage {
  image: string;
  /** Options of `croft machine import` that start it; `played` says how it goes (played-cloud-init.sh). */
  args: (played: string) => string[];
}

/** Makes the image of a revision of a minimal machine, in a directory that is there. */
export async function playedImage(directory: string, minimal: string): Promise<PlayedImage> {
  const [disk, image] = [join(directory, "played.raw"), join(directory, "played.qcow2")];
  await run(["cp", "--sparse=always", join(minimal, "disk.img"), disk], limit);
  const script = packageFile("test", "machines", "import", "played-cloud-init.sh");
  const commands = join(directory, "commands");
  writeFileSync(commands, `cd /usr/sbin\nwrite ${script} played\nset_inode_field played mode 0100755\n`);
  await run(["debugfs", "-w", "-f", commands, disk], { ...limit, env: withSystemPrograms });
  await run(["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", disk, image], limit);
  const parameters = readFileSync(join(minimal, "cmdline"), "utf8").trim();
  const kernel = ["--kernel", join(minimal, "kernel"), "--initrd", join(minimal, "initrd")];
  return {
    image,
    args: (played) => [
      ...kernel,
      "--cmdline",
      `${parameters} init=/sbin/played played=${played}`,
      "--ram",
      "262144",
    ],
  };
}
