/** An image as Debian's for clouds are: of Debian's own packages, with systemd, cloud-init, and GRUB for a BIOS. */
import { chmod, open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hostAptSources } from "../../../machines/image/apt-sources.ts";
import { run } from "../../../os/run.ts";
import { withSystemPrograms } from "./played-image.ts";

const release = "bookworm";
const packages = [
  ...["systemd", "systemd-sysv", "systemd-resolved", "udev", "dbus", "ifupdown", "iproute2", "kmod"],
  ...["cloud-init", "cloud-guest-utils", "netplan.io", "grub-cloud-amd64", "linux-image-cloud-amd64"],
  ...["busybox-static", "ca-certificates", "python3"],
];

const sectorBytes = 512;
const partitionBytes = 1024 * 1024;

const grubConfiguration = `set timeout=0
linux /vmlinuz root=LABEL=cloudimg-root ro console=tty0 console=ttyS0,115200
initrd /initrd.img
boot
`;

/**
 * Makes `cloud.qcow2` in a directory that is there. Nothing is mounted on the host; it takes root, and some minutes.
 *
 * @returns its path.
 */
export async function makeCloudImage(directory: string): Promise<string> {
  const at = (name: string) => join(directory, name);
  const tree = at("tree");
  const limit = { timeoutSeconds: 3600, env: { ...withSystemPrograms, LC_ALL: "C.UTF-8" } };
  const { settings, lines } = await hostAptSources(release);
  // Core image and kernel's initial RAM disk are made by the programs in the tree.
  const hook = at("hook");
  const modules = "biosdisk part_msdos ext2 linux normal configfile echo";
  await writeFile(
    hook,
    `#!/bin/sh -e\nprintf 'LABEL=cloudimg-root / ext4 rw,discard,errors=remount-ro 0 1\\n' > "$1/etc/fstab"\n` +
      `mkdir -p "$1/boot/grub"\nchroot "$1" grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o /boot/core.img ${modules}\n`,
  );
  await chmod(hook, 0o755);
  const sources = at("sources.list");
  await writeFile(sources, `${lines.join("\n")}\n`);
  await run(
    [
      ...["unshare", "--mount", "--propagation", "private", "--"],
      ...["mmdebstrap", "--mode=root", "--variant=apt", "--format=directory"],
      ...settings.map((setting) => `--aptopt=${setting}`),
      ...["--aptopt=Apt::Install-Recommends false", "--dpkgopt=force-unsafe-io"],
      ...[`--include=${packages.join(",")}`, `--customize-hook=${hook}`, release, tree, sources],
    ],
    limit,
  );
  const boot = await readFile(join(tree, "usr/lib/grub/i386-pc/boot.img"));
  const core = await readFile(join(tree, "boot/core.img"));
  await writeFile(join(tree, "boot/grub/grub.cfg"), grubConfiguration);
  const disk = at("cloud.raw");
  await run(["truncate", "--size", "2500M", disk], limit);
  const options = ["-q", "-F", "-L", "cloudimg-root", "-d", tree, "-E", `offset=${partitionBytes}`];
  await run(["mkfs.ext4", ...options, disk, "2400M"], limit);
  const table = `label: dos\nstart=${partitionBytes / sectorBytes}, type=83, bootable\n`;
  await run(["sfdisk", "--quiet", disk], { ...limit, input: table });
  // The core image begins in the second sector, where the first looks for it (GRUB's boot.S and diskboot.S).
  const file = await open(disk, "r+");
  await file.write(boot, 0, 440, 0);
  await file.write(core, 0, core.length, sectorBytes);
  await file.close();
  const image = at("cloud.qcow2");
  await run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, image], limit);
  await rm(tree, { recursive: true });
  await rm(disk);
  return image;
}
