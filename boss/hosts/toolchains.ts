/** Compilers on hosts: the configured ones, and those with the names that distributions give them. */
import { hostArchitecture } from "../matrix/matrix.ts";
import { hostCompiler, versionOf } from "./compilers.ts";
import { answer } from "./scripts.ts";
import { quote } from "../../os/text/shell-word.ts";
import { quotePath } from "./ssh.ts";

/** Architecture to the names of Debian's and Fedora's cross compilers; more than one are tried in turn. */
const knownCompilers: Readonly<Record<string, readonly string[]>> = {
  aarch64: ["aarch64-linux-gnu-gcc", "aarch64-linux-gcc"],
  arm: ["arm-linux-gnueabihf-gcc", "arm-linux-gnueabi-gcc", "arm-linux-gnu-gcc", "arm-none-eabi-gcc"],
  arc: ["arc-linux-gnu-gcc"],
  i386: ["i686-linux-gnu-gcc"],
  loongarch64: ["loongarch64-linux-gnu-gcc"],
  m68k: ["m68k-linux-gnu-gcc"],
  microblaze: ["microblaze-linux-gnu-gcc"],
  mips: ["mips-linux-gnu-gcc", "mips64-linux-gnuabi64-gcc"],
  powerpc: ["powerpc-linux-gnu-gcc", "powerpc64le-linux-gnu-gcc"],
  nios2: ["nios2-linux-gnu-gcc"],
  riscv: ["riscv64-linux-gnu-gcc"],
  riscv32: ["riscv32-linux-gnu-gcc", "riscv64-linux-gnu-gcc"],
  riscv64: ["riscv64-linux-gnu-gcc"],
  s390: ["s390x-linux-gnu-gcc"],
  sh: ["sh4-linux-gnu-gcc"],
  x86: ["x86_64-linux-gnu-gcc", "i686-linux-gnu-gcc"],
  xtensa: ["xtensa-linux-gnu-gcc"],
};

/** What is looked for of each architecture: the configured compiler, and then those with a usual name. */
export function compilersFor(
  configured: Readonly<Record<string, string>>,
): Record<string, readonly string[]> {
  const architectures = new Set([...Object.keys(knownCompilers), ...Object.keys(configured)]);
  return Object.fromEntries(
    [...architectures].map((name) => [name, [configured[name] ?? [], knownCompilers[name] ?? []].flat()]),
  );
}

/**
 * Says which compilers are there: `has <architecture> <path>` for each, then `done`. Names without a slash are looked
 * for in PATH.
 *
 * @param asked architectures whose compilers also say what they are (compilers.ts), in the same breath.
 */
export function toolchainScript(
  compilers: Readonly<Record<string, readonly string[]>>,
  asked: ReadonlySet<string> = new Set(),
): string {
  const checks = Object.entries(compilers).map(([architecture, names]) => {
    const found = names.map((name) => `command -v ${quotePath(name)}`).join(" || ");
    const version = asked.has(architecture) ? versionOf(architecture, '"$p"') : "";
    return `if p=$( { ${found}; } 2>/dev/null); then ${answer(`${quote(`has ${architecture} `)}"$p"`)}; ${version}\nfi`;
  });
  const own = asked.has(hostArchitecture) ? [versionOf(hostArchitecture, hostCompiler)] : [];
  return `${[...checks, ...own].join("\n")}\n${answer('"done"')}\n`;
}

/** Architecture to compiler, from the script's answers. */
export function readToolchains(answers: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    answers.flatMap((line) => {
      const [, architecture, path] = /^has (?!version:)(\S+) (.+)$/.exec(line) ?? [];
      return path === undefined ? [] : [[architecture, path]];
    }),
  ) as Record<string, string>;
}
