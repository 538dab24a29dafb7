/**
 * Puts services of this package under systemd: the units of `systemd/`, with the places that are known at installation
 * only. Everything is safe to repeat; what is as it should be is left alone.
 */
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeDurably } from "../files/durable.ts";
import { attempt, Failure, isSystemError, reasonOf } from "../failure.ts";
import { packageFile, packageRoot } from "../files/package.ts";
import { isPackaged, packagedProgram, packagedUnits } from "./packaged.ts";
import type { OptionDeclaration } from "../command-line/options.ts";
import { run } from "../run.ts";

/** Where an administrator's units lie (systemd.unit(5)). */
export const unitDirectory = "/etc/systemd/system";

/** Where systemd(1) says that it runs (sd_booted(3)). */
const bootedMark = "/run/systemd/system";
/** It waits until a service is up, which may take over data of an older version first. */
const systemctlTimeoutSeconds = 600;
/** The first line of a unit that is ours to replace. */
const madeBy = "# Made by croft; it is replaced at the next installation.\n";

/** The options of each `install` command. @param file default path of the service's configuration. */
export function installOptions(file: string): OptionDeclaration[] {
  return [
    {
      name: "config",
      kind: "path",
      value: "FILE",
      default: file,
      prose: "configuration of the service; an example is written if there is none",
    },
    { name: "now", kind: "flag", prose: "start it, now and with the host" },
    { name: "dry-run", kind: "flag", prose: "print what would be done, with the units, and do nothing" },
    { name: "uninstall", kind: "flag", prose: "stop it and remove its units; configuration and data stay" },
  ];
}

/** Lines of a unit that are replaced: all that begin with the key's name and `=`. */
export type UnitChanges = Record<string, string | readonly string[]>;

/** What an installation does, told as it happens; with `dryRun` told only. */
export class Installation {
  readonly dryRun: boolean;
  readonly #say: (line: string) => void;
  /** Whether a unit is not as it was. */
  changed = false;

  /** @throws {Failure} if services cannot be installed here; not for a dry run, which shows what would be done anywhere. */
  constructor(action: string, options: { dryRun: boolean; say: (line: string) => void }) {
    this.dryRun = options.dryRun;
    this.#say = options.say;
    if (this.dryRun) return;
    if (process.getuid?.() !== 0)
      throw new Failure(action, "only root may", {
        hints: ["Try: sudo croft …", "Or see what it does: --dry-run"],
      });
    if (!existsSync(bootedMark))
      throw new Failure(action, "this host does not run systemd", {
        hints: ["The units can be seen with --dry-run."],
      });
  }

  say(line: string): void {
    this.#say(line);
  }

  /** Puts a unit in place, unless the package has the same. @throws {Failure} if there is one that is not ours. */
  async unit(name: string, text: string): Promise<void> {
    const path = join(unitDirectory, name);
    const content = madeBy + text;
    const present = await readIfThere(path);
    const ofPackage = join(packagedUnits, name);
    if ((await readIfThere(ofPackage)) === text && (present?.startsWith(madeBy) ?? true)) {
      this.#say(`${ofPackage}: as it should be`);
      return this.removeUnit(name); // it would hide that of the next version
    }
    if (present === content) return this.#say(`${path}: unchanged`);
    if (present !== undefined && !present.startsWith(madeBy))
      throw new Failure(`write '${path}'`, "a unit of this name is there that croft has not made", {
        hints: ["Move it away; what it changes belongs into a drop-in (systemctl edit)."],
      });
    this.changed = true;
    await this.#write(path, content, 0o644);
  }

  hasUnit(name: string): boolean {
    return [unitDirectory, packagedUnits].some((directory) => existsSync(join(directory, name)));
  }

  /** Removes a unit of ours. */
  async removeUnit(name: string): Promise<void> {
    const path = join(unitDirectory, name);
    const present = await readIfThere(path);
    if (present === undefined) return;
    if (!present.startsWith(madeBy)) return this.#say(`${path}: left alone, croft has not made it`);
    this.changed = true;
    this.#say(`${path}: removed`);
    if (!this.dryRun) await attempt(`remove '${path}'`, rm(path, { force: true }));
  }

  /** Writes a file that is the operator's from then on: one that is there stays, unless it is to be replaced. */
  async example(path: string, text: string, { mode = 0o640, replace = false } = {}): Promise<void> {
    if (existsSync(path) && !replace) return this.#say(`${path}: left as it is`);
    await this.#write(path, text, mode);
  }

  async directory(path: string): Promise<void> {
    if (existsSync(path)) return;
    this.#say(`${path}: made`);
    if (!this.dryRun) await makeDirectory(path);
  }

  /** @throws {Failure} with what systemctl(1) says. */
  async systemctl(...args: string[]): Promise<void> {
    this.#say(`systemctl ${args.join(" ")}`);
    if (!this.dryRun)
      await run(["systemctl", "--quiet", ...args], { timeoutSeconds: systemctlTimeoutSeconds });
  }

  async #write(path: string, text: string, mode: number): Promise<void> {
    if (this.dryRun) {
      this.#say(`${path}:`);
      for (const line of text.trimEnd().split("\n")) this.#say(line === "" ? "" : `    ${line}`);
      return;
    }
    await makeDirectory(dirname(path));
    await writeDurably(path, text);
    await attempt(`write '${path}'`, chmod(path, mode));
    this.#say(`${path}: written`);
  }
}

/** Nobody else may write to where a service of root is told what to do, whatever the umask. */
async function makeDirectory(path: string): Promise<void> {
  await attempt(`make the directory '${path}'`, mkdir(path, { recursive: true, mode: 0o755 }));
}

/**
 * A unit of the package with some of its lines replaced.
 *
 * @throws {Error} if it has no such line.
 */
export function unitText(name: string, changes: UnitChanges = {}): string {
  const lines = readFileSync(packageFile("systemd", name), "utf8").split("\n");
  for (const [key, value] of Object.entries(changes)) {
    const index = lines.findIndex((line) => line.startsWith(`${key}=`));
    if (index < 0) throw new Error(`the unit ${name} has no line ${key}=`);
    const values = typeof value === "string" ? [value] : value;
    lines.splice(index, 1, ...values.map((item) => `${key}=${item}`));
  }
  return lines.join("\n");
}

/**
 * This very croft as a service starts it: Node.js and launcher by their full paths, since a service has no shell's
 * path, and no launcher in between that would have to pass on signals and the watchdog's pings.
 *
 * @throws {Failure} if it lies where services do not see it.
 */
export function croftProgram(): string[] {
  if (isPackaged()) return [packagedProgram];
  const program = [process.execPath, packageFile("bin", "croft.js")];
  for (const path of program)
    if (/^\/(var\/)?tmp\//.test(path))
      throw new Failure("install a service", `'${path}' lies in a directory for temporary files`, {
        hints: ["Install croft first: npm install --global croft"],
      });
  return program;
}

/** A command line for a unit. */
export function commandLine(program: readonly string[], ...args: readonly string[]): string {
  // Exec lines replace variables besides specifiers.
  return [...program, ...args].map((word) => quoted(word).replaceAll("$", "$$$$")).join(" ");
}

/** Whether this croft or its Node.js lies in a home directory, where hardened services do not look. */
export function liesInHome(): boolean {
  return [process.execPath, packageRoot].some((path) => /^\/(home|root|run\/user)\//.test(path));
}

/** A path for a unit's line: blanks and quotes quoted, no specifiers in it (systemd.syntax(7), systemd.unit(5)). */
export function quoted(path: string): string {
  const text = path.replaceAll("%", "%%");
  return /[\s"'\\;]/.test(text) ? `"${text.replaceAll(/["\\]/g, "\\$&")}"` : text;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return undefined;
    throw new Failure(`read '${path}'`, reasonOf(error), { cause: error });
  }
}
