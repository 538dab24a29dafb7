/** What the packages are called, need and say: their control files (deb-control(5)). */

/** The architectures that both the packaged Node.js and the compiled parts of modules are there for. */
export const architectures = ["amd64", "arm64"] as const;
export type Architecture = (typeof architectures)[number];

/** Node.js's name of each, which npm has packages by. */
export const processors: Record<Architecture, string> = { amd64: "x64", arm64: "arm64" };

/** Where the packages put things; croft finds out by it that it was installed by them (os/service/packaged.ts). */
export const runtimeDirectory = "/usr/lib/croft-runtime";

const maintainer = "croft maintainers <maintainers@croft.invalid>";

/** What Node.js, and the compiled parts of modules, are linked with. */
const libraries = "libc6 (>= 2.28), libgcc-s1, libstdc++6";

/** The fields of a package's control file, in the order of deb-control(5). */
export type Control = Record<string, string>;

const systems: Record<Architecture, string> = { amd64: "qemu-system-x86", arm64: "qemu-system-arm" };

/** Of `croft`. @param installedKiB what its files take */
export function croftControl(version: string, architecture: Architecture, installedKiB: number): Control {
  return {
    Package: "croft",
    Version: version,
    Architecture: architecture,
    Maintainer: maintainer,
    "Installed-Size": String(installedKiB),
    Depends: `nodejs (>= 24) | croft-runtime, passwd, ${libraries}`,
    // An agent's host needs them; a controller, and a desk, do without.
    Recommends: [
      systems[architecture],
      "qemu-utils, btrfs-progs, mmdebstrap, cpio, kmod, xz-utils, e2fsprogs, ca-certificates, systemd",
    ].join(", "),
    Suggests: "git, openssh-client, iproute2, nftables, postgresql",
    Section: "devel",
    Priority: "optional",
    Description: [
      "build farm: clean virtual machines, results that are never lost",
      "croft builds and tests source code in clean virtual machines. A controller",
      "queues builds, keeps results, logs and artifacts, and shows them on its pages;",
      "agents on build hosts perform each build in a virtual machine of its own,",
      "which is thrown away afterwards; an agent keeps a result until its controller",
      "has it. A boss builds a matrix of targets and commits on many hosts by ssh.",
      ".",
      "This package has all of them: the command croft, and services for the",
      "controller and for agents, none of which is started before it is asked for.",
    ].join("\n "),
  };
}

/** Of `croft-runtime`. @param node version of Node.js */
export function runtimeControl(
  version: string,
  architecture: Architecture,
  { installedKiB, node }: { installedKiB: number; node: string },
): Control {
  return {
    Package: "croft-runtime",
    Version: version,
    Architecture: architecture,
    Maintainer: maintainer,
    "Installed-Size": String(installedKiB),
    Depends: libraries,
    Section: "devel",
    Priority: "optional",
    Description: [
      `Node.js ${node} for croft`,
      "croft runs on Node.js 24 or newer. This is one for hosts whose distribution",
      "has none that is new enough; it is in the way of no other: croft alone uses it.",
    ].join("\n "),
  };
}

/** The text of a control file. */
export function formatControl(control: Control): string {
  return Object.entries(control)
    .map(([name, value]) => `${name}: ${value}\n`)
    .join("");
}

/** A changelog of one entry (deb-changelog(5)): what has changed is told elsewhere. */
export function debianChangelog(name: string, version: string, epochSeconds: number): string {
  const date = new Date(epochSeconds * 1000).toUTCString().replace(/GMT$/, "+0000");
  const told = `* What has changed: /usr/share/doc/croft/CHANGELOG.md`;
  return `${name} (${version}) unstable; urgency=medium\n\n  ${told}\n\n -- ${maintainer}  ${date}\n`;
}
