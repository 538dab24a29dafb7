/** Which packages a machine is made of. */
import { traitsOf, type DebianArchitecture } from "./architectures.ts";

/** Kernels, the best first: with what virtual machines need and little else. */
export function kernelPackages(architecture: DebianArchitecture): string[] {
  const { kernel } = traitsOf(architecture);
  if (kernel === "riscv64") return ["linux-image-riscv64"];
  return [`linux-image-cloud-${kernel}`].map((name) =>
    kernel === architecture ? name : `${name}:${kernel}`,
  );
}

/** The worker needs a shell, a TFTP client and the usual tools: busybox has them all. */
export const minimalPackages = ["busybox-static"];

/** What typical C and C++ packages are built with, besides what Debian itself consists of. */
export const debianPackages = [
  ...["busybox-static", "ca-certificates", "curl", "git", "iproute2", "kmod", "mount", "procps"],
  ...["build-essential", "gcc", "g++", "make", "cmake", "meson", "ninja-build", "pkg-config"],
  ...["autoconf", "automake", "libtool", "gettext", "bison", "flex", "m4", "patch", "file"],
  ...["bc", "lz4", "unzip", "xz-utils", "zip", "zstd", "python3-minimal"],
];

/** Left out of packages when they are unpacked: nothing in a build reads them. */
export const unneededPaths = [
  ...["/usr/share/doc/*", "/usr/share/info/*", "/usr/share/man/*", "/usr/share/locale/*"],
  "/usr/share/bug/*",
];
