/** Options that say how a target is built: each is a setting that workers are sent (worker/protocol.ts). */
import type { OptionDeclaration, OptionValues } from "../../os/command-line/options.ts";

interface SettingFlag {
  name: string;
  /** That of buildman, where it has one. */
  short?: string;
  setting: string;
  prose: string;
}

const flags: readonly SettingFlag[] = [
  { name: "mrproper", short: "m", setting: "mrproper", prose: "build cleanly at each commit" },
  {
    name: "fallback-mrproper",
    setting: "fallback_mrproper",
    prose: "build once more, cleanly, what has failed at a commit",
  },
  { name: "force-reconfig", short: "C", setting: "force_reconfig", prose: "configure anew at each commit" },
  { name: "config-only", setting: "config_only", prose: "configure, and do not build" },
  { name: "no-lto", short: "L", setting: "no_lto", prose: "build without link-time optimisation" },
  {
    name: "reproducible-builds",
    short: "r",
    setting: "reproducible_builds",
    prose: "build with the same date at each commit, so that only what the source changes is different",
  },
  {
    name: "warnings-as-errors",
    short: "E",
    setting: "warnings_as_errors",
    prose: "let each compiler's warning fail its build",
  },
  {
    name: "allow-missing",
    short: "M",
    setting: "allow_missing",
    prose: "let U-Boot's binman go without blobs that are not there",
  },
  { name: "verbose-build", short: "V", setting: "verbose_build", prose: "have make tell its commands" },
];

/** As they are declared for the command line. */
export const settingOptions: readonly OptionDeclaration[] = [
  ...flags.map(({ name, short, prose }) => ({
    name,
    kind: "flag" as const,
    prose,
    ...(short ? { short } : {}),
  })),
  {
    name: "fragments",
    kind: "string",
    value: "FILES",
    repeat: true,
    check: (text) => wordsWrong(text, /^[\w.+/-]+$/, "files of the tree, separated by commas"),
    prose: "configuration fragments to merge into the configuration of U-Boot or Linux, separated by commas",
  },
  {
    name: "adjust-cfg",
    kind: "string",
    short: "a",
    value: "SETTINGS",
    repeat: true,
    check: (text) => wordsWrong(text, /^(?:~?\w+|\w+=.*)$/, "NAME, ~NAME or NAME=VALUE, separated by commas"),
    prose:
      "change the configuration of U-Boot or Linux: NAME sets it to y, ~NAME unsets it, NAME=VALUE sets it",
  },
];

/** What workers are sent of the options that were given. */
export function settingsOf(values: OptionValues): Record<string, unknown> {
  const given = flags.filter(({ name }) => values[name] === true).map(({ setting }) => [setting, true]);
  const lists = [
    ["fragments", wordsOf(values, "fragments")],
    ["adjust_cfg", wordsOf(values, "adjust-cfg")],
  ].filter(([, words]) => words!.length > 0);
  return Object.fromEntries([...given, ...lists]) as Record<string, unknown>;
}

/** The words of an option that may stand several times, or have several words with commas. */
export function wordsOf(values: OptionValues, name: string): string[] {
  return ((values[name] as string[] | undefined) ?? []).flatMap((text) => text.split(",")).filter(Boolean);
}

function wordsWrong(text: string, pattern: RegExp, expected: string): string | undefined {
  return text.split(",").every((word) => pattern.test(word)) ? undefined : `expected ${expected}`;
}
