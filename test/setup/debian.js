// The system programs: Debian's packages where dpkg knows them, programs in PATH elsewhere.
import { spawnSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runLogged, showing } from "./steps.js";

const qemu =
  process.arch === "arm64"
    ? { "qemu-system-arm": ["qemu-system-aarch64"] }
    : { "qemu-system-x86": ["qemu-system-x86_64"] };

/** Here dpkg's word counts, not that a program of the name is there: the headers, or a library, are what is needed. */
const byNameOnly = new Set(["libc6-dev", "libengine-pkcs11-openssl", "opensbi", "postgresql"]);

/** Package to the programs that are used of it. */
const forDemo = {
  ...qemu,
  "qemu-utils": ["qemu-img"],
  "btrfs-progs": ["btrfs", "mkfs.btrfs"],
  mmdebstrap: ["mmdebstrap"],
  e2fsprogs: ["mkfs.ext4"],
  cpio: ["cpio"],
  kmod: ["depmod", "modprobe"],
  "xz-utils": ["xz"],
  zstd: ["zstd"],
  git: ["git"],
  mount: ["mount", "losetup"],
  "util-linux": ["flock", "setpriv", "unshare"],
  // Without root, machines are made in a user namespace.
  ...(process.getuid?.() === 0 ? {} : { uidmap: ["newuidmap"] }),
};
const forTests = {
  ...forDemo,
  // Any busybox here, as the packages of a dynamic and of a static one exclude each other; see busybox.js.
  "busybox-static": ["busybox"],
  "tftp-hpa": ["tftp"],
  atftp: ["atftp"],
  "tftpd-hpa": ["in.tftpd"],
  lz4: ["lz4"],
  dash: ["dash"],
  curl: ["curl"],
  iproute2: ["ip"],
  nftables: ["nft"],
  "dnsmasq-base": ["dnsmasq"],
  openssl: ["openssl"],
  "openssh-client": ["ssh", "ssh-keygen"],
  "openssh-server": ["sshd"],
  perl: ["perl"],
  softhsm2: ["softhsm2-util"],
  "libengine-pkcs11-openssl": [],
  mandoc: ["mandoc"],
  "man-db": ["man"],
  "groff-base": ["groff"],
  shellcheck: ["shellcheck"],
  zsh: ["zsh"],
  fish: ["fish"],
  chromium: ["chromium"],
  postgresql: ["postgres"],
  pgbouncer: ["pgbouncer"],
  haproxy: ["haproxy"],
  "nginx-light": ["nginx"],
  procps: ["pgrep", "pkill"],
  faketime: ["faketime"],
  strace: ["strace"],
  systemd: ["systemctl", "systemd-analyze"],
  "systemd-container": ["systemd-nspawn"],
  bzip2: ["bzip2"],
  zip: ["zip"],
  gcc: ["cc"],
  "libc6-dev": ["cc"],
  make: ["make"],
};

const forLongParts = {
  ...forTests,
  // Machines of other architectures; and a cloud image's partition table.
  "qemu-system-arm": ["qemu-system-aarch64"],
  "qemu-system-misc": ["qemu-system-riscv64"],
  opensbi: [],
  fdisk: ["sfdisk"],
  lintian: ["lintian"],
  "swift-proxy": ["swift-proxy-server"],
  "swift-account": ["swift-account-server"],
  "swift-container": ["swift-container-server"],
  "swift-object": ["swift-object-server"],
  memcached: ["memcached"],
};

/** What each purpose needs of the system; `check` needs nothing. @type {Record<string, Record<string, string[]>>} */
export const purposes = { demo: forDemo, test: forTests, long: forLongParts, check: {} };

/**
 * The packages that are not there, neither as such nor by their programs.
 *
 * @param {Record<string, string[]>} wanted
 * @returns {string[]}
 */
export function missingPackages(wanted) {
  const names = Object.keys(wanted);
  if (names.length === 0) return [];
  const listing = spawnSync("dpkg-query", ["-W", "-f=${db:Status-Abbrev}${Package}\n", ...names], {
    encoding: "utf8",
  });
  const installed = new Set(
    (listing.stdout ?? "")
      .split("\n")
      .filter((line) => /^.i /.test(line))
      .map((line) => line.slice(3)),
  );
  const known = listing.error === undefined;
  return names.filter((name) => {
    if (installed.has(name)) return false;
    return (known && byNameOnly.has(name)) || !wanted[name].every(inPath);
  });
}

/** @param {string} program */
function inPath(program) {
  const path = `${process.env.PATH ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`;
  return path.split(":").some((directory) => existsSync(join(directory || ".", program)));
}

/**
 * Installs packages as root; services that come with them are not started.
 *
 * @param {string[]} packages
 * @param {string} log
 * @throws {Error} saying what to do if this is not Debian, we are not root, or apt-get fails.
 */
export async function installPackages(packages, log) {
  const install = ["apt-get", "install", "--yes", "--no-install-recommends", ...packages];
  if (!inPath("apt-get"))
    throw new Error(`These programs are missing (by Debian's package names): ${packages.join(" ")}`);
  if (process.getuid?.() !== 0)
    throw new Error(
      `Debian packages are missing; install them with:\n  sudo apt-get update && sudo ${install.join(" ")}`,
    );
  const title = `Installing ${packages.length} Debian package${packages.length === 1 ? "" : "s"} (${packages.join(" ")})`;
  await showing(title, async () => {
    const allow = keepServicesDown();
    try {
      await runLogged(["dpkg", "--configure", "-a"], { log, env: quietly() }); // after one that was cut off
      // A source that does not answer is no obstacle if the others have what is needed.
      await apt(["update"], { log }).catch(() => {});
      await apt(install.slice(1), { log });
    } finally {
      allow();
    }
  });
}

/**
 * Runs apt-get.
 *
 * @param {string[]} args
 * @param {{ log: string, cwd?: string }} options
 */
export function apt(args, options) {
  const argv = ["apt-get", "-o", "DPkg::Lock::Timeout=300", ...args];
  return runLogged(argv, { ...options, env: quietly() });
}

/** The environment in which Debian's programs ask nothing. */
function quietly() {
  return { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" };
}

/**
 * Keeps packages from starting services while we install them, by the policy file that Debian's maintainer scripts
 * ask. Should we be killed, the file left behind forbids nothing, and removes itself when it is asked.
 */
function keepServicesDown(policy = "/usr/sbin/policy-rc.d") {
  if (existsSync(policy)) return () => {}; // the host has a policy of its own
  const script = `#!/bin/sh\n# Made by croft's test/setup while it installs packages.\nif [ -e /proc/${process.pid} ]; then exit 101; fi\nrm -f "$0"\nexit 0\n`;
  writeFileSync(policy, script, { mode: 0o755 });
  return () => rmSync(policy, { force: true });
}
