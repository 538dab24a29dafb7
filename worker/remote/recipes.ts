/**
 * How a target is built at a commit: shell commands, run in the source's top directory.
 *
 * Placeholders: `{out}` the output directory, relative to the source, so that messages are the same on each host;
 * `{source}` the source's top directory, absolute; `{target}`; `{config}` the target after its last colon, for
 * targets such as `arm64:defconfig`; `{jobs}` how many processes the build may run at a time; `{arch}` as the boss
 * has it; `{linux_arch}` as Linux calls it; `{cross}` the toolchain's prefix, empty for the host's own.
 * `CROSS_COMPILE` and what the settings ask for are in the environment, too (worker/remote/environment.ts).
 */
import { Failure } from "../../os/failure.ts";
import { quote } from "../../os/text/shell-word.ts";
import { adjustCommand, fragmentWords } from "./configuration-changes.ts";
import type { Recipe, Settings } from "../protocol.ts";

/** The output directory, relative to the source. A name of its own: the source may have a `build/`. */
export const outputDirectory = ".croft-out";

/** Where builds have their temporary files, relative to the source. */
export const temporaryDirectory = ".croft-tmp";

/** What a placeholder may stand for. */
export interface Placeholders {
  out: string;
  source: string;
  target: string;
  jobs: number;
  arch: string;
  cross: string;
}

type BuiltIn = (settings: Settings) => Recipe;

/** Files that decide on a configuration, in projects with Kconfig. */
const kconfigFiles = [":(glob)**/Kconfig*", ":(glob)**/configs/**", ":(glob)**/*defconfig*"];

/** U-Boot's stages: what may be built besides the main image. */
const stages = ["", "spl/", "tpl/", "vpl/"];

const builtIns: Record<string, BuiltIn> = {
  "u-boot": (settings) => ({
    configure:
      configured(settings, `make ${makeFlags(settings)} O={out}`, "{target}_defconfig") +
      // What Kconfig does not know, a build would add.
      (settings.config_only ? ` && make ${makeFlags(settings)} O={out} cfg` : ""),
    build: `make ${makeFlags(settings)} O={out} -j{jobs}`,
    // Of binman, where blobs are missing: the programs are there. buildman counts it so.
    tolerates: "Some images are invalid",
    sizes:
      `for image in ${stages.map((stage) => `{out}/${stage}u-boot${stage && `-${stage.slice(0, -1)}`}`).join(" ")}; do ` +
      '[ ! -f "$image" ] || {cross}size "$image"; done',
    config: stages.flatMap((stage) => [
      `${stage}u-boot${stage && `-${stage.slice(0, -1)}`}.cfg`,
      ...(stage === "" ? [".config"] : []),
      `${stage}include/autoconf.mk`,
      `${stage}include/generated/autoconf.h`,
    ]),
    reconfigure: kconfigFiles,
    images: stages.map((stage) => `${stage}u-boot${stage && `-${stage.slice(0, -1)}`}`),
    environment: "{cross}objcopy -O binary -j .rodata.default_environment {out}/env/common.o {out}/uboot.env",
    outputs: [
      ...["u-boot*", "*.map", "MLO", "SPL", "*.bin", "*.rom", "*.itb", "*.img"],
      ...stages.filter(Boolean).map((stage) => `${stage}u-boot-${stage.slice(0, -1)}*`),
    ],
  }),
  linux: (settings) => ({
    configure: configured(settings, `make ${makeFlags(settings)} O={out} ARCH={linux_arch}`, "{config}"),
    build: `make ${makeFlags(settings)} O={out} ARCH={linux_arch} -j{jobs}`,
    sizes: "{cross}size {out}/vmlinux",
    config: [".config", "include/generated/autoconf.h"],
    reconfigure: kconfigFiles,
    images: ["vmlinux"],
    outputs: ["vmlinux", "System.map", "arch/*/boot/*Image*", "arch/*/boot/dts/**/*.dtb"],
  }),
  make: (settings) => ({
    build: `make ${makeFlags(settings)} -j{jobs} {target}`,
  }),
};

/** Names of the recipes that croft has itself. */
export const recipeNames: readonly string[] = Object.keys(builtIns);

function configured(settings: Settings, make: string, target: string): string {
  return `${make} ${target}${fragmentWords(settings)}${adjustCommand(settings, make)}`;
}

function makeFlags(settings: Settings): string {
  return settings.verbose_build ? "V=1" : "-s";
}

/**
 * The recipe that the settings ask for; U-Boot's without.
 *
 * @throws {Failure} for a name that is none.
 */
export function recipeOf(settings: Settings): Recipe {
  const { recipe = "u-boot" } = settings;
  if (typeof recipe !== "string") return recipe;
  const builtIn = Object.hasOwn(builtIns, recipe) ? builtIns[recipe] : undefined;
  if (builtIn) return builtIn(settings);
  throw new Failure(`use recipe '${recipe}'`, `there are ${recipeNames.join(", ")}, or one in full`);
}

/** A recipe's command with its placeholders filled in; braces around anything else are the shell's. */
export function fillIn(command: string, values: Placeholders): string {
  const all: Record<string, string> = {
    ...values,
    jobs: String(values.jobs),
    config: values.target.slice(values.target.lastIndexOf(":") + 1),
    linux_arch: linuxArch(values.arch),
  };
  return command.replace(/(?<!\$)\{(\w+)\}/g, (text, name: string) =>
    Object.hasOwn(all, name) ? shellWord(all[name]!) : text,
  );
}

/** A value as a part of a word of the shell, and nothing else. */
function shellWord(value: string): string {
  return /^[\w.,:/+@%=-]*$/.test(value) ? value : quote(value);
}

function linuxArch(arch: string): string {
  const families: [RegExp, string][] = [
    [/^(aarch64|arm64)/, "arm64"],
    [/^arm/, "arm"],
    [/^(x86_64|i[3-6]86|x86)$/, "x86"],
    [/^(powerpc|ppc)/, "powerpc"],
    [/^riscv/, "riscv"],
    [/^mips/, "mips"],
    [/^s390/, "s390"],
    [/^(sh[2-4]?)$/, "sh"],
    [/^sandbox$/, "um"],
  ];
  return families.find(([pattern]) => pattern.test(arch))?.[1] ?? arch;
}
