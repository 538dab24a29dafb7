/**
 * Makes the files of a machine from Debian packages: `kernel`, `initrd`, `cmdline`, `disk.img`, and a list of the
 * `packages` in it. mmdebstrap unpacks (and for a complete system installs) packages into a temporary tree, and runs
 * pack.sh on it, which makes the files. No file system is mounted on the host for it, and no root is needed where
 * the user may have subordinate ids.
 *
 * Both kinds boot with croft-init as the first process, and not systemd: that saves 20 s of each boot in software
 * emulation, and a machine that performs one build needs no services.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Failure } from "../../os/failure.ts";
import { packageFile } from "../../os/files/package.ts";
import { ProgramFailure, run } from "../../os/run.ts";
import { hostAptSources } from "./apt-sources.ts";
import { hostDebianArchitecture, runsHere, traitsOf } from "./architectures.ts";
import { checkSpace } from "./free-space.ts";
import { debianPackages, kernelPackages, minimalPackages, unneededPaths } from "./packages.ts";
import { checkPrograms } from "./programs.ts";
import type { Recipe } from "./recipe.ts";
import { environment, isRoot, namespace, removeWork, workIn } from "./work-tree.ts";

export interface ImageOptions {
  recipe: Recipe;
  /** The program that becomes `/sbin/croft-init`, the first process. */
  init: string;
  /** Called with what is being done now. */
  onStep: (step: string) => void;
  /** Called with each line that the recipe's script prints. */
  onOutput?: (line: string) => void;
  signal?: AbortSignal;
}

/** What mmdebstrap and pack.sh say about their progress, without what is of no interest to a person who waits. */
const stepPattern =
  /^I: (?!removing tempdir|using |main\(\)|skipping|finding|reading|running --|success|cleaning)(.*?)\.*$/;
/** What the recipe's script says, as run-script.sh passes it on. */
const outputPattern = /^S: (.*)$/;

/** What is worth telling of what failed: words of the programs that pack.sh calls, too. */
const toldPattern =
  /^(E|unshare|new[ug]idmap|(ls|cp|mv|find|cpio|xz|zstd|install|mount|mkfs\.ext4)|.*\berror):|No space left/i;

/** A script may compile things. */
const buildSeconds = 5 * 3600;
/** The scripts lie in the package; what is compiled lies elsewhere. */
const scripts = (name: string) => packageFile("machines", "image", name);

/**
 * Makes the files of a machine in a directory that is there and empty.
 *
 * @returns a digest of what the machine consists of: equal for equal packages and settings, unless there is a script.
 * @throws {Failure} if programs are missing, or packages cannot be had; the directory may then hold anything.
 */
export async function createImage(output: string, options: ImageOptions): Promise<string> {
  const { recipe, onStep, onOutput, signal } = options;
  checkRuns(recipe);
  checkPrograms();
  onStep(await checkSpace(output, recipe));
  onStep("reading the package sources of this host");
  const sources = await hostAptSources(recipe.release, signal);
  const work = workIn(output);
  await mkdir(work);
  try {
    if (recipe.script !== undefined) await writeFile(join(work, "script"), recipe.script, { mode: 0o755 });
    await run(argumentsFor(recipe, sources.settings, sources.lines.length > 0), {
      timeoutSeconds: buildSeconds,
      input: `${sources.lines.join("\n")}\n`,
      env: { ...environment(), ...packEnvironment(resolve(output), work, options) },
      onLine: (line) => {
        const [step, said] = [stepPattern.exec(line)?.[1], outputPattern.exec(line)?.[1]];
        if (step !== undefined) onStep(step);
        if (said !== undefined) onOutput?.(said);
      },
      ...(signal && { signal }),
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw explained(error, recipe);
  } finally {
    await removeWork(output);
  }
  await writeFile(join(output, "cmdline"), `${kernelParameters(recipe)}\n`);
  return await digestOf(output, options);
}

/** Programs of another architecture are not run on the host: neither by emulation nor by its settings (binfmt). */
function checkRuns({ architecture, kind, script }: Recipe): void {
  if (runsHere(architecture)) return;
  const what = kind === "debian" ? "installing packages" : script === undefined ? undefined : "a script";
  if (what === undefined) return;
  throw new Failure(
    `make a machine for ${architecture}`,
    `${what} runs programs, and those of ${architecture} do not run on this host`,
    {
      hints: [
        "Make a minimal one without a script (--minimal): packages named by --include are unpacked.",
        `Or make it on a host of ${architecture}, and copy the directory of its revision.`,
      ],
    },
  );
}

function argumentsFor(recipe: Recipe, settings: readonly string[], withSources: boolean): string[] {
  const minimal = recipe.kind === "minimal";
  const packages = [...(minimal ? minimalPackages : debianPackages), ...recipe.include];
  return [
    ...namespace(),
    ...["mmdebstrap", "--mode=root", "--format=null", ...architectureArguments(recipe)],
    // `extract` unpacks without installing, and then runs no other hook than this one.
    minimal ? "--variant=extract" : "--variant=apt",
    // Installing merges /bin, /lib… into /usr; what is only unpacked needs the links to be there before.
    ...(minimal ? ["--hook-directory=/usr/share/mmdebstrap/hooks/merged-usr"] : []),
    `--${minimal ? "extract" : "customize"}-hook=sh "$CROFT_PACK" "$1"`,
    ...settings.map((setting) => `--aptopt=${setting}`),
    ...["--dpkgopt=force-unsafe-io", "--aptopt=Apt::Install-Recommends false"],
    ...unneededPaths.map((path) => `--dpkgopt=path-exclude=${path}`),
    `--include=${packages.join(",")}`,
    ...[recipe.release, "/dev/null", ...(withSources ? ["-"] : [])],
  ];
}

/** The machine's own, that of its kernel, and the host's where nothing of the machine's runs. */
function architectureArguments({ architecture }: Recipe): string[] {
  const host = hostDebianArchitecture();
  if (architecture === host) return [];
  const { kernel } = traitsOf(architecture);
  const isForeign = !runsHere(architecture);
  return [
    `--architectures=${[...new Set([architecture, kernel, ...(isForeign ? [host] : [])])].join(",")}`,
    "--skip=check/qemu", // what runs here is known, and one more program (arch-test) not needed to find out
  ];
}

function packEnvironment(output: string, work: string, { recipe, init }: ImageOptions): NodeJS.ProcessEnv {
  return {
    TMPDIR: work, // the tree
    CROFT_OUTPUT: output,
    CROFT_WORK: work,
    CROFT_PACK: scripts("pack.sh"), // mmdebstrap passes the environment on; so nothing need be quoted
    CROFT_KIND: recipe.kind,
    CROFT_KERNELS: kernelPackages(recipe.architecture).join(" "),
    CROFT_LISTER: runsHere(recipe.architecture) ? "" : `busybox-static:${hostDebianArchitecture()}`,
    CROFT_DISK: String(recipe.diskGiB * 1024),
    CROFT_INIT: resolve(init),
    CROFT_INITRD: scripts("initrd.sh"),
    CROFT_RUN_SCRIPT: scripts("run-script.sh"),
    CROFT_SCRIPT: recipe.script === undefined ? "" : join(work, "script"),
  };
}

/** `panic=-1`: a kernel that cannot tell pvpanic resets at once, which ends QEMU as well. */
function kernelParameters({ architecture }: Recipe): string {
  const { console } = traitsOf(architecture);
  // On a busy host an emulated timer comes late, and the kernel takes that for broken hardware or a lockup.
  const patient = "no_timer_check nowatchdog";
  // Whoever breaks out of a process of this guest has broken into a machine that is thrown away; waiting for entropy,
  // probing serial ports and testing ciphers is 0.3 s of a boot in emulation.
  const faster = "mitigations=off random.trust_cpu=on 8250.nr_uarts=1 cryptomgr.notests";
  // What a build asks the kernel for (uname) is then what its compilers make.
  const personality = architecture === "i386" ? " croft.linux32" : "";
  return `console=${console} panic=-1 root=/dev/vda rw init=/sbin/croft-init quiet ${patient} ${faster}${personality}`;
}

/** The builder's own last words, without its endless command line. */
function explained(error: unknown, { release, script }: Recipe): unknown {
  if (!(error instanceof ProgramFailure)) return error;
  const lines = error.output.split("\n");
  const ended = script === undefined ? undefined : lines.find((line) => /^E: the script /.test(line));
  if (ended !== undefined) {
    const said = lines.flatMap((line) => outputPattern.exec(line)?.[1] ?? []).slice(-6);
    return new Failure("make a machine", [ended.slice(3), ...said].join("\n  "), { cause: error });
  }
  const said = lines.filter((line) => toldPattern.test(line) && !/ failed\b/.test(line));
  const reason = said.slice(0, 6).join("\n  ") || error.message;
  return new Failure(`make a machine from Debian packages of '${release}'`, reason, {
    cause: error,
    hints: [
      "Do the release and the packages exist, and does 'apt-get update' work on this host?",
      ...(isRoot() ? [] : ["Without root: do /etc/subuid and /etc/subgid give this user 65536 ids?"]),
    ],
  });
}

async function digestOf(output: string, { init, recipe }: ImageOptions): Promise<string> {
  const hash = createHash("sha256");
  for (const file of [join(output, "packages"), join(output, "cmdline"), join(output, "initrd"), init])
    hash.update(await readFile(file));
  const { kind, release, architecture, include, diskGiB, script } = recipe;
  hash.update(JSON.stringify([kind, release, architecture, include, diskGiB]));
  // What a script brings is not known.
  if (script !== undefined) hash.update(script).update(randomUUID());
  return hash.digest("hex");
}
