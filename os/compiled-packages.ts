/** Whether the compiled parts of packages are there: npm installs those for this system, as optional dependencies. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Failure } from "./failure.ts";

const packages = ["koffi", "lz4-napi"];
const system = `linux-${process.arch}`;

/**
 * Says before any work what would be missing in the middle of it.
 *
 * @throws {Failure} that names the packages.
 */
export function assertCompiledPackages(): void {
  const lacking = packages.filter((name) => !hasCompiledPart(name));
  if (lacking.length === 0) return;
  throw new Failure("start", `the compiled part for ${system} of ${lacking.join(" and ")} is not installed`, {
    hints: ["npm leaves it out with --omit=optional: install croft again without that."],
  });
}

function hasCompiledPart(name: string): boolean {
  const main = fileURLToPath(import.meta.resolve(name));
  const directory = dirname(main);
  if (existsSync(join(directory, "build"))) return true; // compiled by npm on this host
  const text = readFileSync(join(directory, "package.json"), "utf8");
  const { optionalDependencies = {} } = JSON.parse(text) as { optionalDependencies?: Record<string, string> };
  const { resolve } = createRequire(main);
  return Object.keys(optionalDependencies).some((part) => {
    if (!part.includes(system)) return false;
    try {
      resolve(part);
      return true;
    } catch {
      return false;
    }
  });
}
