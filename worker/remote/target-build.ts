import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { returnCodes, type BuildResult, type Recipe, type Settings, type Target } from "../protocol.ts";
import { configurationOf, detailsOf } from "./details.ts";
import { tellsOfClockSkew, touchNamedFiles, withoutClockSkew } from "./diagnostics.ts";
import { buildEnvironment } from "./environment.ts";
import type { Processes } from "./processes.ts";
import { fillIn, outputDirectory, temporaryDirectory } from "./recipes.ts";
import type { Toolchain } from "./toolchain.ts";
import type { Worktree } from "./worktree.ts";

/** How targets are built in a round. */
export interface BuildPlan {
  settings: Settings;
  recipe: Recipe;
  processes: Processes;
}

/** What is known of a build, besides what it was of. */
export type Outcome = Pick<BuildResult, "return_code" | "stdout" | "stderr" | "sizes" | "config" | "outputs">;

/** What of each stream of a step is kept, in bytes. */
const keptBytes = 1024 * 1024;
const keptSizesBytes = 64 * 1024;

/** Longest time of a command that looks at what was built. */
const detailSeconds = 60;

/** Longest time of a target at one commit, without a setting: nothing may run for ever. */
const defaultTimeoutSeconds = 4 * 3600;

/**
 * A target, built at one commit after the other in one worktree: cleanly at first, then incrementally.
 *
 * Results must not depend on what was built before. So nothing of another target is left in the worktree; the
 * configuration is made anew wherever it may have changed; a failure is believed only if the build was configured;
 * files with warnings are compiled again at the next commit; and where the host's clock was set back, so that what has
 * changed looks older than what was built of it, all is built anew.
 */
export class TargetBuild {
  readonly #plan: BuildPlan;
  readonly #target: Target;
  readonly #worktree: Worktree;
  readonly #toolchain: Toolchain;
  /** The commit that the worktree was last configured for; undefined if it must be anew. */
  #configured: string | undefined;
  /** What the last build printed on standard error; undefined if the worktree must be cleaned. */
  #diagnostics: string | undefined;

  constructor(plan: BuildPlan, target: Target, worktree: Worktree, toolchain: Toolchain) {
    this.#plan = plan;
    this.#target = target;
    this.#worktree = worktree;
    this.#toolchain = toolchain;
  }

  /**
   * Builds at a commit.
   *
   * @throws {Failure} if the source cannot be brought there; {Ended} if the worker ends.
   */
  async buildAt(hash: string, jobs: number): Promise<Outcome> {
    const { settings, recipe } = this.#plan;
    const diagnostics = this.#diagnostics;
    const clean = diagnostics === undefined || settings.mrproper === true;
    this.#diagnostics = undefined; // should anything be thrown
    await this.#worktree.checkOut(hash);
    if (clean) await this.#clean();
    else await this.#touch(diagnostics);

    const configure = clean || (await this.#mayNeedConfiguration(hash));
    let outcome = await this.#attempt(hash, jobs, configure);
    if (!clean && tellsOfClockSkew(outcome.stderr)) {
      await this.#clean();
      await this.#worktree.checkOutAnew(hash);
      outcome = await this.#attempt(hash, jobs, true);
    } else if (outcome.return_code !== 0 && !configure && recipe.configure !== undefined) {
      await this.#touch(outcome.stderr);
      outcome = await this.#attempt(hash, jobs, true);
    }
    if (outcome.return_code !== 0 && !clean && settings.fallback_mrproper) {
      await this.#clean();
      outcome = await this.#attempt(hash, jobs, true);
    }
    if (outcome.return_code !== 0) this.#configured = undefined;
    outcome.stderr = withoutClockSkew(outcome.stderr);
    this.#diagnostics = outcome.stderr;
    return outcome;
  }

  async #clean(): Promise<void> {
    await this.#worktree.clean();
    this.#configured = undefined;
  }

  async #touch(diagnostics: string): Promise<void> {
    const { path, output } = this.#worktree;
    await touchNamedFiles(diagnostics, path, [path, output]);
  }

  async #mayNeedConfiguration(hash: string): Promise<boolean> {
    const { settings, recipe } = this.#plan;
    if (this.#configured === undefined || settings.force_reconfig || settings.config_only) return true;
    if (settings.kconfig_check === false) return false;
    if (recipe.reconfigure === undefined) return true;
    return await this.#worktree.differs(this.#configured, hash, recipe.reconfigure);
  }

  /** Configures, if asked to, and builds. */
  async #attempt(hash: string, jobs: number, configure: boolean): Promise<Outcome> {
    const { settings, recipe } = this.#plan;
    const seconds = settings.build_timeout ?? defaultTimeoutSeconds;
    const deadline = performance.now() + seconds * 1000; // a host that slept, or whose clock was set, fails nothing
    const outcome: Outcome = { return_code: returnCodes.built, stdout: "", stderr: "" };
    const step = async (name: string, command: string) => {
      const left = Math.max(1, Math.ceil((deadline - performance.now()) / 1000));
      const finished = await this.#shell(command, jobs, left);
      outcome.stdout += this.#withoutPlace(finished.stdout);
      outcome.stderr += this.#withoutPlace(finished.stderr);
      if (finished.status === 0 || isTolerated(recipe, finished)) return true;
      outcome.return_code = returnCodes.failed;
      if (finished.status === null)
        outcome.stderr += `croft: ${name} of '${this.#target.board}': ${finished.ending}\n`;
      return false;
    };
    if (configure && recipe.configure !== undefined && !(await step("configure", recipe.configure)))
      return outcome; // whatever configuration lies there is an earlier commit's
    this.#configured = hash;
    if (settings.config_only || !(await step("build", recipe.build)))
      return withFiles(outcome, await configurationOf({ recipe, output: this.#worktree.output }));
    const sizes = await this.#sizes(jobs);
    return withFiles({ ...outcome, ...(sizes && { sizes }) }, await this.#details(jobs));
  }

  async #shell(command: string, jobs: number, timeoutSeconds: number, keepBytes = keptBytes) {
    // Compilers that are killed leave files: here they go with the next target, and do not fill the host's /tmp.
    const temporary = join(this.#worktree.path, temporaryDirectory);
    await mkdir(temporary, { recursive: true });
    const text = fillIn(command, {
      out: outputDirectory,
      source: this.#worktree.path,
      target: this.#target.board,
      arch: this.#target.arch ?? "",
      cross: this.#toolchain.cross,
      jobs,
    });
    return await this.#plan.processes.run(["/bin/sh", "-c", text], {
      cwd: this.#worktree.path,
      env: { ...buildEnvironment(this.#plan.settings, this.#toolchain), TMPDIR: temporary },
      timeoutSeconds,
      keepBytes,
    });
  }

  /** Messages name files by where they are in the source, whichever thread of whichever host has built. */
  #withoutPlace(text: string): string {
    return text.replaceAll(`${this.#worktree.path}/`, "").replaceAll(this.#worktree.path, ".");
  }

  /** Those that are asked for. */
  async #details(jobs: number): Promise<Record<string, string>> {
    const { settings, recipe } = this.#plan;
    const shell = async (command: string, keepBytes: number) => {
      const { status, stdout } = await this.#shell(command, jobs, detailSeconds, keepBytes);
      return status === 0 ? this.#withoutPlace(stdout) : undefined;
    };
    return await detailsOf({ recipe, output: this.#worktree.output, shell }, settings.details ?? []);
  }

  /** The lines of size(1) without their headings; none if there are none. */
  async #sizes(jobs: number): Promise<{ raw: string } | undefined> {
    const { sizes } = this.#plan.recipe;
    if (sizes === undefined) return undefined;
    const { stdout } = await this.#shell(sizes, jobs, detailSeconds, keptSizesBytes);
    const lines = stdout.split("\n").filter((line) => /^\s*\d/.test(line));
    return lines.length > 0 ? { raw: lines.join("\n") } : undefined;
  }
}

/** As make, which has its own status for what it ran. */
function isTolerated({ tolerates }: Recipe, { status, stderr }: { status: number | null; stderr: string }) {
  return tolerates !== undefined && status === 2 && stderr.includes(tolerates);
}

function withFiles(outcome: Outcome, files: Record<string, string>): Outcome {
  return Object.keys(files).length > 0 ? { ...outcome, config: files } : outcome;
}
