import { access, constants } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";

/** A compiler as builds take it: the prefix of its programs, empty for the host's own. */
export interface Toolchain {
  cross: string;
  /** In place of gcc, for the host's own programs, too. */
  clang?: string;
}

/**
 * The toolchain for an architecture.
 *
 * `sandbox`, and no architecture at all, means programs for the host itself: with its own compiler, if there is none
 * for that name.
 *
 * @returns the toolchain, or why there is none.
 */
export async function findToolchain(
  arch: string | undefined,
  toolchains: Readonly<Record<string, string>>,
): Promise<Toolchain | string> {
  const name = arch ?? "";
  const configured = Object.hasOwn(toolchains, name) ? toolchains[name] : undefined;
  if (configured === undefined)
    return name === "" || name === "sandbox"
      ? { cross: "" }
      : `Cannot build for '${name}': this worker was given no toolchain for it`;
  const path = expandHome(configured);
  const cross = crossPrefix(path);
  const compiler = path.endsWith("-") ? `${path}gcc` : path;
  const clang = cross === "" && /^clang(?:-[\d.]+)?$/.test(basename(path)) ? { clang: path } : {};
  if (await isProgram(compiler)) return { cross, ...clang };
  return `Cannot build for '${name}': there is no compiler '${compiler}' on this host`;
}

/** A path whose leading `~` is the home directory. */
export function expandHome(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;
}

/** `…/aarch64-linux-` of `…/aarch64-linux-gcc`; empty for a compiler without a prefix, such as `/usr/bin/gcc`. */
export function crossPrefix(compiler: string): string {
  if (compiler.endsWith("-")) return compiler;
  const prefix = /^(.+-)(?:gcc|cc|clang|g\+\+|c\+\+)(?:-[\d.]+)?$/.exec(basename(compiler))?.[1];
  if (prefix === undefined) return "";
  return compiler.includes("/") ? join(dirname(compiler), prefix) : prefix;
}

async function isProgram(name: string): Promise<boolean> {
  const candidates = name.includes("/")
    ? [name]
    : (process.env.PATH ?? "").split(delimiter).map((directory) => join(directory, name));
  const found = await Promise.allSettled(candidates.map((path) => access(path, constants.X_OK)));
  return found.some(({ status }) => status === "fulfilled");
}
