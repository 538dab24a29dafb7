/** The architectures that machines are made for, by Debian's names. */

/** Debian's name of an architecture. */
export type DebianArchitecture = "amd64" | "arm64" | "i386" | "riscv64";

interface Traits {
  /** Whose kernel it boots: Debian has none for i386 any more, and the one of amd64 runs all of it. */
  kernel: Exclude<DebianArchitecture, "i386">;
  /** The serial console that QEMU gives to it. */
  console: string;
}

const traits: Record<DebianArchitecture, Traits> = {
  amd64: { kernel: "amd64", console: "ttyS0" },
  arm64: { kernel: "arm64", console: "ttyAMA0" },
  i386: { kernel: "amd64", console: "ttyS0" },
  riscv64: { kernel: "riscv64", console: "ttyS0" },
};

export const debianArchitectures = Object.keys(traits) as DebianArchitecture[];

/** @returns what differs between architectures. */
export function traitsOf(architecture: DebianArchitecture): Traits {
  return traits[architecture];
}

export function hostDebianArchitecture(): DebianArchitecture {
  return process.arch === "arm64" ? "arm64" : "amd64";
}

/** Whether its programs run on this host, as far as processors go: then its packages are installed here. */
export function runsHere(architecture: DebianArchitecture): boolean {
  const host = hostDebianArchitecture();
  return architecture === host || (host === "amd64" && architecture === "i386");
}
