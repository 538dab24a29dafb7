/** The boss's page of the manual: all but the options' own words, which stand with their declaration. */
import type { Block, ManualPage } from "../os/manual/page.ts";
import { packageVersion } from "../os/files/package.ts";
import { buildOptions } from "./options.ts";

const description: Block[] = [
  "`croft boss build` builds targets at commits on this machine and on hosts that ssh reaches, all at once, and leaves the results in a directory here. A target is named as NAME or NAME:ARCH; its architecture decides on the compiler and on the hosts that can build it. In trees of U-Boot and Linux, other words are terms: regular expressions that fit from the first character on of a board's target, architecture, cpu, board, vendor, SoC or configuration; `&` joins some that must all fit, several terms are alternatives. U-Boot's boards are listed by the tree's own tools/buildman, which is run here. Without targets, all that are configured are built; without `--commits`, `--count` or `--branch`, the current source is.",
  "What has a result already is not built again (of the current source: a result of the same files), so a run that was interrupted goes on where it was. Work of a worker that dies, hangs or loses its connection is done elsewhere, without the commits whose results have arrived.",
  "With `--controller` the matrix is built on the machines of a controller: each result that is missing is submitted as a build of its own, whose machine fetches the commit from `--repository` and builds it by the recipe. The results come back to the same directory.",
  "`croft boss bisect` finds the first commit after GOOD, along first parents, that breaks a target. All hosts build at a time, and the last commits more than once, as builds may fail by chance: a commit is told when chance is no explanation, and else which two it is between.",
  "`croft boss hosts` shows what the hosts are like, `croft boss toolchains` their compilers and where missing ones can be had (`--fetch-toolchains` gets them), `croft boss kill` ends workers that still run there, and `croft boss report` sums up the results that are there and writes them as a page (`--html`). Each explains itself with `--help`.",
];

const configurationFile: Block[] = [
  "Hosts, compilers, targets and the recipe by which a target is built stand in croft.yaml in the source tree, or in the file given with `--config`:",
  {
    language: "yaml",
    code: `hosts:
  alpha: {}
  beta: {ssh: build@beta.example, max-builds: 16}
toolchains: {aarch64: ~/toolchains/bin/aarch64-linux-gnu-gcc}
recipe:
  configure: make O={out} {target}_defconfig
  build: make O={out} -j{jobs}
  sizes: size {out}/u-boot
targets:
  sandbox:
  qemu_arm64: {arch: aarch64}`,
  },
  "croft.yaml comes with the source, and names what is run here and on hosts. What it names (all but targets and a built-in recipe) is therefore shown and asked about once for each tree and content; without a terminal to ask on, it is refused until `--trust-config` confirms it. A file that is given with `--config` is not asked about.",
  "A recipe is the name of one that is built in (`u-boot`, `linux`, `make`) or its commands. `{out}`, `{source}`, `{target}`, `{config}`, `{jobs}`, `{arch}`, `{linux_arch}` and `{cross}` in these are replaced.",
];

const summary: Block[] = [
  "Of each commit the summary tells, against the last result of the same target before it:",
  {
    terms: [
      ["`+`, `-`", "A target that is newly broken, with the reason, or newly fixed."],
      ["`w`", "A warning that was not there before."],
      ["`s`", "Changes of size; of more than 20 targets, their average by architecture, unless `--detail`."],
      ["`c`, `e`, `f`", "Changes of the configuration, the environment and of functions: `-K`, `-U`, `-B`."],
      [
        "`~`",
        "At the end, likely flakes: they failed and later were built, though the error was none of the source and no other target shared it.",
      ],
    ],
  },
];

const exitStatus: Block[] = [
  {
    terms: [
      ["0", "All is built."],
      [
        "1",
        "There are warnings and `--werror` was given; or a failure of the boss itself, such as a full disk.",
      ],
      ["2", "A target failed or has no result; or wrong usage of the command line or of the configuration."],
      ["130", "Interrupted."],
    ],
  },
];

const files: Block[] = [
  {
    terms: [
      [
        "`[BRANCH/]NN_gHASH_SUBJECT/TARGET/`",
        "A result: `done` (the return code, written last), `err`, `log`, `sizes`, `host`, and the configuration of a failed build, or what was asked for: configuration, `uboot.env`, `IMAGE.sizes` (functions) and `IMAGE.objdump` (sections) of all, files that were kept with their `sha256sums`. `current/TARGET/` for the current source.",
      ],
      ["`worker-HOST.log`", "Every message to and from the host's worker, with its time."],
      ["`.croft.log`", "What happened in each run, with a STATUS line each minute."],
      [
        "`$XDG_STATE_HOME/croft/trusted-configurations`",
        "Which configurations of source trees were confirmed; by default in `~/.local/state`.",
      ],
      ["`~/.cache/croft/`", "On a host: the worker, a Node.js if it has none, and the work directories."],
    ],
  },
];

/** croft-boss(1). */
export const bossPage: ManualPage = {
  name: "croft-boss",
  section: 1,
  summary: "build a matrix of targets and commits on many hosts",
  version: packageVersion,
  sections: [
    {
      title: "Synopsis",
      blocks: [
        "`croft boss build` [OPTIONS] [TARGET[:ARCH] ...]",
        "`croft boss bisect` [OPTIONS] GOOD..BAD TARGET[:ARCH] ...",
        "`croft boss hosts` [OPTIONS]",
        "`croft boss toolchains` [OPTIONS]",
        "`croft boss kill` [OPTIONS]",
        "`croft boss report` [OPTIONS] [TARGET ...]",
      ],
    },
    { title: "Description", blocks: description },
    { title: "Options", blocks: [{ options: buildOptions }] },
    { title: "Configuration file", blocks: configurationFile },
    { title: "Summary", blocks: summary },
    { title: "Exit status", blocks: exitStatus },
    { title: "Files", blocks: files },
    {
      title: "See also",
      blocks: ["`croft-agent`(1), `ssh`(1), `git`(1), `size`(1). docs/boss.md begins with a tutorial."],
    },
  ],
};
