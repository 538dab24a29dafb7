import { readFileSync, statSync } from "node:fs";
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { Failure, reasonOf } from "../../os/failure.ts";
import {
  addOptions,
  givenValues,
  withDefaults,
  type OptionDeclaration,
  type OptionValues,
} from "../../os/command-line/options.ts";
import { KiB } from "../../os/text/size.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { debianArchitectures, hostDebianArchitecture, type DebianArchitecture } from "./architectures.ts";
import {
  assertAuxiliaryName,
  assertMachineName,
  interruptible,
  makingOptions,
  placeOptions,
  roleOption,
} from "./making-command.ts";
import { diskMaximumGiB, packagePattern, releasePattern, type ImageKind, type Recipe } from "./recipe.ts";

const diskGiB: Record<ImageKind, number> = { minimal: 1, debian: 8 };
const scriptMaxBytes = 256 * KiB;

/** Options of `croft machine create`. */
const createOptions: readonly OptionDeclaration[] = [
  ...placeOptions,
  {
    name: "minimal",
    kind: "flag",
    prose: "only a kernel and busybox, instead of a Debian with compilers and build tools",
  },
  {
    name: "release",
    kind: "string",
    value: "NAME",
    default: "bookworm",
    check: (name) => (releasePattern.test(name) ? undefined : "expected a code name of Debian"),
    prose: "code name of the Debian release; such as bookworm, trixie or sid",
  },
  {
    name: "arch",
    kind: "choice",
    choices: debianArchitectures,
    defaultWords: "the host's",
    prose: "architecture of the machine, emulated where the host is another",
  },
  {
    name: "include",
    kind: "string",
    value: "PACKAGES",
    repeat: true,
    check: checkPackages,
    prose: "further packages, separated by commas; in a minimal machine unpacked, with what they need",
  },
  {
    name: "include-file",
    kind: "path",
    value: "FILE",
    repeat: true,
    prose: "further packages from a file: names separated by blanks or lines, # begins a remark",
  },
  {
    name: "script",
    kind: "path",
    value: "FILE",
    prose: "a script that is run as root in the new system once its packages are there; kept in the machine",
  },
  {
    name: "disk-size",
    kind: "integer",
    value: "GIB",
    minimum: 1,
    maximum: diskMaximumGiB,
    prose:
      "size of the disk in GiB, taken from the host only as it is written; default 8, or 1 for a minimal one",
  },
  roleOption("--script"),
  { name: "summary", kind: "string", value: "TEXT", prose: "one line that describes the machine" },
];

/** The `croft machine create` command. */
export function createCommand(): Command {
  const command = makeCommand("create", "makes a machine, or a new revision of one, from Debian packages");
  command.argument("<name>", "name of the machine");
  addOptions(command, createOptions);
  command.addHelpText(
    "after",
    `
The packages come from where this host gets its own, mirror and proxy included. The machine starts croft-init
as its first process and no systemd: that saves 20 s of each boot where processors are emulated. What it was
told is kept in the revision (recipe.yaml): croft machine update makes a new one with newer packages.`,
  );
  command.action((name: string) => create(name, command));
  return command;
}

async function create(name: string, command: Command): Promise<void> {
  const values = withDefaults(givenValues(command, createOptions), createOptions);
  assertMachineName("make", name);
  const { createMachine, makeMachinesDirectory } = await import("./create-machine.ts");
  const recipe = recipeOf(values);
  if (recipe.role === "auxiliary") assertAuxiliary(name, recipe);
  await makeMachinesDirectory(String(values["machines"]));
  using interruption = interruptible(`make machine '${name}'`);
  const options = await makingOptions(name, values, interruption.signal);
  process.stdout.write(`${await createMachine({ ...options, recipe })}\n`);
}

/** @throws {Failure} if nobody could use the machine. */
function assertAuxiliary(name: string, { script }: Recipe): void {
  assertAuxiliaryName("make", name);
  if (script === undefined)
    throw new Failure(`make auxiliary machine '${name}'`, "nothing would start its services", {
      hints: ["Give a script with --script that writes the program /etc/croft/auxiliary."],
    });
}

/** @throws {Failure} if a file cannot be read, or has something else. */
function recipeOf(values: OptionValues): Recipe {
  const kind = values["minimal"] ? "minimal" : "debian";
  const release = String(values["release"]);
  const architecture = (values["arch"] ?? hostDebianArchitecture()) as DebianArchitecture;
  const lists = (values["include"] as string[]).flatMap((list) => list.split(","));
  const files = (values["include-file"] as string[]).flatMap(packagesIn);
  const script = values["script"] as string | undefined;
  return {
    ...{ kind, release, architecture, include: [...new Set([...lists, ...files])] },
    summary: (values["summary"] as string | undefined) ?? describe(kind, release, architecture),
    diskGiB: (values["disk-size"] as number | undefined) ?? diskGiB[kind],
    ...(values["role"] === "auxiliary" ? { role: "auxiliary" as const } : {}),
    ...withoutUndefined({ script: script === undefined ? undefined : readText(script) }),
  };
}

function describe(kind: ImageKind, release: string, architecture: DebianArchitecture): string {
  const foreign = architecture === hostDebianArchitecture() ? "" : ` for ${architecture}`;
  return kind === "minimal"
    ? `Linux of Debian ${release} with busybox${foreign}`
    : `Debian ${release} with build tools${foreign}`;
}

function packagesIn(file: string): string[] {
  const names = readText(file)
    .split("\n")
    .flatMap((line) => line.replace(/#.*/, "").split(/[\s,]+/))
    .filter((name) => name !== "");
  const wrong = checkPackages(names.join(","));
  if (names.length > 0 && wrong !== undefined) throw new Failure(`use the packages of '${file}'`, wrong);
  return names;
}

function readText(file: string): string {
  try {
    if (statSync(file).size > scriptMaxBytes)
      throw new Failure(`read '${file}'`, "it is larger than 256 KiB");
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`read '${file}'`, error instanceof TypeError ? "it is no UTF-8 text" : reasonOf(error));
  }
}

function checkPackages(list: string): string | undefined {
  const wrong = list.split(",").find((name) => !packagePattern.test(name));
  return wrong === undefined ? undefined : `'${wrong}' is not the name of a package`;
}
