/** Compilers on hosts: the configured ones, and those with the names that distributions give them. */
import { hostArchitecture } from "../matrix/matrix.ts";
import { hostCompiler, versionOf } from "./compilers.ts";
import { answer } from "./scripts.ts";
import { quote } from "../../os/text/shell-word.ts";
import { quotePath } from "./ssh.ts";

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
