/** A cloud image made of Debian packages, as Debian makes its own: cloud-init, GRUB, a cloud kernel and systemd. */
import { copyFile, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { hostAptSources } from "../../../machines/image/apt-sources.ts";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { run } from "../../../os/run.ts";
import { copyMade, digestOf } from "../../fixtures/made.ts";

const sector = 512;
/** Where the first partition begins, as partitioning programs have it: 1 MiB. */
const firstSector = 2048;

const packages = [
  ...["linux-image-cloud-amd64", "grub-cloud-amd64", "initramfs-tools", "systemd-sysv", "systemd-resolved"],
  ...["cloud-init", "cloud-guest-utils", "e2fsprogs", "netplan.io", "dbus", "udev", "kmod", "iproute2"],
  ...["ca-certificates", "curl", "git"],
];

/** Makes `cloud.qcow2` in a directory that is there. */
export async function makeCloudImage(directory: string): Promise<string> {
  const hook = packageFile("test", "machines", "import", "cloud-image.sh");
  const key = digestOf(await readFile(hook), packages.join(" "));
  const to = join(directory, "made");
  await copyMade("cloud-image", key, { to, make: (output) => make(output, hook) });
  const image = join(directory, "cloud.qcow2");
  await copyFile(join(to, "cloud.qcow2"), image);
  await run(["rm", "-r", to], { timeoutSeconds: 300 });
  return image;
}

async function make(output: string, hook: string): Promise<void> {
  await using work = await temporaryDirectory("croft-test-cloud-");
  const sources = await hostAptSources("bookworm");
  await run(
    [
      // Mounts vanish with the namespace.
      ...["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--propagation", "private", "--"],
      ...["mmdebstrap", "--mode=root", "--format=null", "--variant=required"],
      ...["--aptopt=Apt::Install-Recommends false", "--dpkgopt=force-unsafe-io"],
      ...sources.settings.map((setting) => `--aptopt=${setting}`),
      ...[`--include=${packages.join(",")}`, `--customize-hook=sh ${hook} "$1"`],
      ...["bookworm", "/dev/null", ...(sources.lines.length > 0 ? ["-"] : [])],
    ],
    {
      timeoutSeconds: 3600,
      input: `${sources.lines.join("\n")}\n`,
      env: { ...process.env, CROFT_OUTPUT: work.path, TMPDIR: work.path },
    },
  );
  await assemble(work.path);
  await run(["mkdir", "-p", output], { timeoutSeconds: 60 });
  await run(
    [
      "qemu-img",
      "convert",
      "-c",
      "-f",
      "raw",
      "-O",
      "qcow2",
      join(work.path, "root.img"),
      join(output, "cloud.qcow2"),
    ],
    { timeoutSeconds: 1800 },
  );
}

/** Puts a boot sector, GRUB, and the root file system where a BIOS and GRUB look for them; the disk is `root.img`. */
async function assemble(directory: string): Promise<void> {
  const boot = await readFile(join(directory, "boot.img"));
  const core = await readFile(join(directory, "core.img"));
  const path = join(directory, "root.img");
  const partition = join(directory, "partition.img");
  await run(["mv", path, partition], { timeoutSeconds: 60 });
  await run(["dd", `if=${partition}`, `of=${path}`, "bs=1M", "seek=1", "conv=sparse"], {
    timeoutSeconds: 600,
  });
  await using disk = await open(path, "r+");
  const { size } = await disk.stat();
  boot.writeBigUInt64LE(1n, 0x5c); // the sector of the rest of GRUB
  boot.fill(0, 446, 510);
  boot.set([0x80, 0, 0, 0, 0x83, 0, 0, 0], 446);
  boot.writeUInt32LE(firstSector, 454);
  boot.writeUInt32LE(size / sector - firstSector, 458);
  boot.writeUInt16LE(0xaa55, 510);
  // Where the rest of that is: after its first sector (struct grub_pc_bios_boot_blocklist, 12 bytes before its end).
  core.writeBigUInt64LE(2n, 500);
  core.writeUInt16LE(Math.ceil(core.length / sector) - 1, 508);
  await disk.write(boot, 0, sector, 0);
  await disk.write(core, 0, core.length, sector);
}
