/** Compilers for architectures: what distributions call them, and where they can be had. */

/** Of an architecture. */
interface KnownToolchain {
  /** Names of Debian's and Fedora's cross compilers; more than one are tried in turn. */
  readonly compilers: readonly string[];
  /** Debian package. */
  readonly debian?: string;
  /** As kernel.org calls it in its archives. */
  readonly archive?: string;
}

const knownToolchains: Readonly<Record<string, KnownToolchain>> = {
  aarch64: {
    compilers: ["aarch64-linux-gnu-gcc", "aarch64-linux-gcc"],
    ...{ debian: "gcc-aarch64-linux-gnu", archive: "aarch64-linux" },
  },
  arm: {
    compilers: [
      ...["arm-linux-gnueabihf-gcc", "arm-linux-gnueabi-gcc", "arm-linux-gnu-gcc", "arm-none-eabi-gcc"],
    ],
    ...{ debian: "gcc-arm-linux-gnueabihf", archive: "arm-linux-gnueabi" },
  },
  arc: { compilers: ["arc-linux-gnu-gcc"], debian: "gcc-arc-linux-gnu", archive: "arc-linux" },
  i386: { compilers: ["i686-linux-gnu-gcc"], debian: "gcc-i686-linux-gnu", archive: "i386-linux" },
  loongarch64: { compilers: ["loongarch64-linux-gnu-gcc"], archive: "loongarch64-linux" },
  m68k: { compilers: ["m68k-linux-gnu-gcc"], debian: "gcc-m68k-linux-gnu", archive: "m68k-linux" },
  microblaze: { compilers: ["microblaze-linux-gnu-gcc"], archive: "microblaze-linux" },
  mips: {
    compilers: ["mips-linux-gnu-gcc", "mips64-linux-gnuabi64-gcc"],
    ...{ debian: "gcc-mips-linux-gnu", archive: "mips-linux" },
  },
  powerpc: {
    compilers: ["powerpc-linux-gnu-gcc", "powerpc64le-linux-gnu-gcc"],
    ...{ debian: "gcc-powerpc-linux-gnu", archive: "powerpc-linux" },
  },
  nios2: { compilers: ["nios2-linux-gnu-gcc"], archive: "nios2-linux" },
  riscv: {
    compilers: ["riscv64-linux-gnu-gcc"],
    ...{ debian: "gcc-riscv64-linux-gnu", archive: "riscv64-linux" },
  },
  riscv32: {
    compilers: ["riscv32-linux-gnu-gcc", "riscv64-linux-gnu-gcc"],
    ...{ debian: "gcc-riscv64-linux-gnu", archive: "riscv32-linux" },
  },
  riscv64: {
    compilers: ["riscv64-linux-gnu-gcc"],
    ...{ debian: "gcc-riscv64-linux-gnu", archive: "riscv64-linux" },
  },
  s390: { compilers: ["s390x-linux-gnu-gcc"], debian: "gcc-s390x-linux-gnu", archive: "s390-linux" },
  sh: { compilers: ["sh4-linux-gnu-gcc"], debian: "gcc-sh4-linux-gnu", archive: "sh4-linux" },
  x86: {
    compilers: ["x86_64-linux-gnu-gcc", "i686-linux-gnu-gcc"],
    ...{ debian: "gcc-x86-64-linux-gnu", archive: "x86_64-linux" },
  },
  xtensa: { compilers: ["xtensa-linux-gnu-gcc"], archive: "xtensa-linux" },
};

/** Where archives of kernel.org are unpacked on a host. */
export const fetchedToolchains = "~/.cache/croft/toolchains";

/** What is known of an architecture; nothing of most. */
export function knownToolchain(architecture: string): KnownToolchain {
  return Object.hasOwn(knownToolchains, architecture) ? knownToolchains[architecture]! : { compilers: [] };
}

/** What is looked for of each architecture: the configured compiler, then those with a usual name, then one that was fetched. */
export function compilersFor(
  configured: Readonly<Record<string, string>>,
): Record<string, readonly string[]> {
  const architectures = new Set([...Object.keys(knownToolchains), ...Object.keys(configured)]);
  return Object.fromEntries(
    [...architectures].map((name) => {
      const { compilers, archive } = knownToolchain(name);
      const fetched = archive === undefined ? [] : [`${fetchedToolchains}/${archive}/bin/${archive}-gcc`];
      return [name, [configured[name] ?? [], compilers, fetched].flat()];
    }),
  );
}
