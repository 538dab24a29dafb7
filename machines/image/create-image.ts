/**
 * Makes the files of a machine from Debian packages: `kernel`, `initrd`, `cmdline`, `disk.img`, and a list of the
 * `packages` in it. mmdebstrap unpacks (and for a complete system installs) packages into a temporary tree, and runs
 * pack.sh on it, which makes the files. No file system is mounted on the host for it, and no root is needed where
 * the user may have subordinate ids.
 *
 * Both kinds boot with croft-init as the first process, and not systemd: that saves 20 s of each boot in software
 * emulation, and a machine that performs one build needs no services.
 */
import { createHash } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { Failure } from "../../os/failure.ts";
import { packageFile } from "../../os/files/package.ts";
import { ProgramFailure, run } from "../../os/run.ts";
import { hostAptSources } from "./apt-sources.ts";
import { debianPackages, kernelPackage, minimalPackages, unneededPaths } from "./packages.ts";

export type ImageKind = "minimal" | "debian";

export interface ImageOptions {
  kind: ImageKind;
  /** Debian's code name, e.g. `bookworm`. */
  release: string;
  /** Packages besides those of the kind. */
  include: readonly string[];
  diskMiB: number;
  /** The program that becomes `/sbin/croft-init`, the first process. */
  init: string;
  /** Called with what is being done now. */
  onStep: (step: string) => void;
  signal?: AbortSignal;
}

/** What mmdebstrap and pack.sh say about their progress, without what is of no interest to a person who waits. */
const stepPattern =
  /^I: (?!removing tempdir|using |main\(\)|skipping|finding|reading|running --|success|cleaning)(.*?)\.*$/;

const buildSeconds = 3600;
/** The scripts lie in the package; what is compiled lies elsewhere. */
const packScript = packageFile("machines", "image", "pack.sh");
const initrdScript = packageFile("machines", "image", "initrd.sh");

/** Programs that making an image takes, and the Debian packages that have them. */
const programs: Record<string, string> = {
  "apt-get": "apt",
  cpio: "cpio",
  depmod: "kmod",
  "dpkg-deb": "dpkg",
  "mkfs.ext4": "e2fsprogs",
  mmdebstrap: "mmdebstrap",
  setpriv: "util-linux",
  unshare: "util-linux",
  xz: "xz-utils",
};

/**
 * Makes the files of a machine in a directory that is there and empty.
 *
 * @returns a digest of what the machine consists of: equal for equal packages and settings.
 * @throws {Failure} if programs are missing, or packages cannot be had; the directory may then hold anything.
 */
export async function createImage(output: string, options: ImageOptions): Promise<string> {
  checkPrograms();
  options.onStep("reading the package sources of this host");
  const sources = await hostAptSources(options.release, options.signal);
  const work = workIn(output);
  await mkdir(work);
  try {
    await run(argumentsFor(options, sources.settings, sources.lines.length > 0), {
      timeoutSeconds: buildSeconds,
      input: `${sources.lines.join("\n")}\n`,
      env: { ...environment(), ...packEnvironment(resolve(output), work, options) },
      onLine: (line) => {
        const step = stepPattern.exec(line)?.[1];
        if (step !== undefined) options.onStep(step);
      },
      ...(options.signal && { signal: options.signal }),
    });
  } catch (error) {
    options.signal?.throwIfAborted();
    throw explained(error, options);
  } finally {
    await removeWork(output);
  }
  await writeFile(join(output, "cmdline"), `${kernelParameters()}\n`);
  return await digestOf(output, options);
}

function workIn(output: string): string {
  return join(resolve(output), ".work");
}

/** Removes the tree of {@link createImage} from a directory, also the one of a run that was killed. */
export async function removeWork(output: string): Promise<void> {
  // In a namespace as it was made in: without root, most of the tree belongs to subordinate ids.
  await run([...namespace(), "rm", "-rf", "--one-file-system", workIn(output)], {
    timeoutSeconds: 600,
    env: environment(),
  });
}

/**
 * Mounts of the tree (`/proc`, `/dev`…) vanish with the namespace's processes, whatever happens, so that clearing away
 * can never walk into one; and all of it ends with this process.
 */
function namespace(): string[] {
  return [
    ...["setpriv", "--pdeathsig", "KILL", "--", "unshare"],
    ...(isRoot() ? [] : ["--user", "--map-root-user", "--map-auto"]),
    ...["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "--"],
  ];
}

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

function argumentsFor(options: ImageOptions, settings: readonly string[], withSources: boolean): string[] {
  const minimal = options.kind === "minimal";
  const packages = [...(minimal ? minimalPackages : debianPackages), ...options.include];
  return [
    ...namespace(),
    ...["mmdebstrap", "--mode=root", "--format=null"],
    // `extract` unpacks without installing, and then runs no other hook than this one.
    minimal ? "--variant=extract" : "--variant=apt",
    // Installing merges /bin, /lib… into /usr; what is only unpacked needs the links to be there before.
    ...(minimal ? ["--hook-directory=/usr/share/mmdebstrap/hooks/merged-usr"] : []),
    `--${minimal ? "extract" : "customize"}-hook=sh "$CROFT_PACK" "$1"`,
    ...settings.map((setting) => `--aptopt=${setting}`),
    ...["--dpkgopt=force-unsafe-io", "--aptopt=Apt::Install-Recommends false"],
    ...unneededPaths.map((path) => `--dpkgopt=path-exclude=${path}`),
    `--include=${packages.join(",")}`,
    ...[options.release, "/dev/null", ...(withSources ? ["-"] : [])],
  ];
}

function packEnvironment(output: string, work: string, options: ImageOptions): NodeJS.ProcessEnv {
  return {
    TMPDIR: work, // the tree; /tmp may be too small, or in memory
    CROFT_OUTPUT: output,
    CROFT_WORK: work,
    CROFT_PACK: packScript, // mmdebstrap passes the environment on; so nothing need be quoted
    CROFT_KIND: options.kind,
    CROFT_KERNEL: kernelPackage(),
    CROFT_DISK: String(options.diskMiB),
    CROFT_INIT: resolve(options.init),
    CROFT_INITRD: initrdScript,
  };
}

/** `panic=-1`: a kernel that cannot tell pvpanic resets at once, which ends QEMU as well. */
function kernelParameters(): string {
  const console = process.arch === "arm64" ? "ttyAMA0" : "ttyS0";
  // On a busy host an emulated timer comes late, and the kernel takes that for broken hardware or a lockup.
  const patient = "no_timer_check nowatchdog";
  // Whoever breaks out of a process of this guest has broken into a machine that is thrown away; waiting for entropy,
  // probing serial ports and testing ciphers is 0.3 s of a boot in emulation.
  const faster = "mitigations=off random.trust_cpu=on 8250.nr_uarts=1 cryptomgr.notests";
  return `console=${console} panic=-1 root=/dev/vda rw init=/sbin/croft-init quiet ${patient} ${faster}`;
}

/** With the directories of system programs, which a user's PATH may lack. */
function environment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin:/usr/bin:/bin`, LC_ALL: "C" };
}

/**
 * Checks that this host has what making a machine takes.
 *
 * @throws {Failure} that names the programs and the packages that have them.
 */
export function checkPrograms(directories?: readonly string[]): void {
  const { programs: missing, packages } = missingPrograms(directories);
  if (missing.length === 0) return;
  throw new Failure("make a machine", `this host lacks ${missing.join(", ")}`, {
    hints: [`On Debian: apt-get install ${packages.join(" ")}`],
  });
}

/** The programs that this host lacks for making machines, and the Debian packages that have them. */
export function missingPrograms(directories: readonly string[] = environment()["PATH"]!.split(delimiter)): {
  programs: string[];
  packages: string[];
} {
  const all: Record<string, string> = isRoot() ? programs : { ...programs, newuidmap: "uidmap" };
  const missing = Object.keys(all).filter(
    (program) => !directories.some((directory) => isExecutable(join(directory, program))),
  );
  return { programs: missing, packages: [...new Set(missing.map((program) => all[program]!))] };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The builder's own last words, without its endless command line. */
function explained(error: unknown, options: ImageOptions): unknown {
  if (!(error instanceof ProgramFailure)) return error;
  const said = error.output
    .split("\n")
    .filter((line) => /^(E|mkfs\.ext4|unshare|new[ug]idmap|.*error):(?!.*failed)/i.test(line));
  const reason = said.slice(0, 6).join("\n  ") || error.message;
  return new Failure(`make a machine from Debian packages of '${options.release}'`, reason, {
    cause: error,
    hints: [
      "Do the release and the packages exist, and does 'apt-get update' work on this host?",
      ...(isRoot() ? [] : ["Without root: do /etc/subuid and /etc/subgid give this user 65536 ids?"]),
    ],
  });
}

async function digestOf(output: string, options: ImageOptions): Promise<string> {
  const hash = createHash("sha256");
  for (const file of [
    join(output, "packages"),
    join(output, "cmdline"),
    join(output, "initrd"),
    options.init,
  ])
    hash.update(await readFile(file));
  hash.update(JSON.stringify([options.kind, options.release, options.include, options.diskMiB]));
  return hash.digest("hex");
}
