/**
 * What a machine of a farm runs to build a target: one line of shell, as a submission's arguments carry it
 * (worker/guest/parts/50-operations.sh). What comes of it is uploaded as artifacts, one for each file of a result.
 */
import { quote } from "../../os/text/shell-word.ts";
import type { Recipe, Settings } from "../../worker/protocol.ts";
import { changedEnvironment } from "../../worker/remote/environment.ts";
import { configurationNames } from "../../worker/remote/details.ts";
import { fillIn, outputDirectory, temporaryDirectory } from "../../worker/remote/recipes.ts";
import { compilersFor } from "../hosts/known-toolchains.ts";
import { quotePath } from "../hosts/ssh.ts";
import { hostArchitecture, type Target } from "../matrix/matrix.ts";

/** Begins the names of a result's artifacts. */
export const artifactPrefix = "croft-result-";
/** The same of its configuration's files. */
export const configPrefix = `${artifactPrefix}config-`;

/** The first word of arguments that are a command; the second is the command. */
const commandWord = "croft-run";

/** What of messages is kept, in bytes. */
const keptBytes = 1024 * 1024;

/** What is built, and how. */
export interface CommandSettings {
  recipe: Recipe;
  settings: Settings;
  /** Architecture to compiler. */
  toolchains: Readonly<Record<string, string>>;
}

/** The arguments of a submission that builds a target. */
export function buildArguments(target: Target, how: CommandSettings): string {
  // One level of quotes is taken away, of either kind.
  const word = buildCommand(target, how)
    .split("'")
    .map((part) => `'${part}'`)
    .join(`"'"`);
  return `${commandWord} ${word}`;
}

function buildCommand(target: Target, { recipe, settings, toolchains }: CommandSettings): string {
  const tolerated =
    recipe.tolerates === undefined
      ? ""
      : ` || { [ $? = 2 ] && grep -q -F -e ${quote(recipe.tolerates)} "$t/err"; }`;
  const step = (name: string, command: string) =>
    `{ echo '==> ${name}'; sh -c ${quote(filled(command, target))} >> "$t/log" 2>> "$t/err" < /dev/null; }`;
  const steps = [
    ...(recipe.configure === undefined ? [] : [step("configure", recipe.configure)]),
    ...(settings.config_only ? [] : [step("build", recipe.build)]),
  ];
  const sizes =
    recipe.sizes === undefined
      ? ":"
      : `sh -c ${quote(filled(recipe.sizes, target))} 2> /dev/null | grep '^ *[0-9]' > "$r-sizes"`;
  const files = configurationNames(recipe).map(
    ({ path, name }) => `keep ${quote(`${outputDirectory}/${path}`)} "$r-config-"${quote(name)}`,
  );
  const configuration = files.join("; ") || ":";
  return [
    `t=$PWD/${temporaryDirectory} r=$CROFT_UPLOAD/artifact/${artifactPrefix.slice(0, -1)}`,
    `mkdir -p "\${r%/*}" "$t" ${outputDirectory}`,
    `[ ! -d .git ] || mkdir -p .git/info`,
    `[ ! -d .git ] || printf '/%s\\n' ${outputDirectory} ${temporaryDirectory} >> .git/info/exclude`,
    ...exported({ ...changedEnvironment(settings), TMPDIR: undefined }),
    'export TMPDIR="$t"',
    'keep() { [ ! -f "$1" ] || head -c 1048576 "$1" > "$2"; }',
    ...compilerFor(target, toolchains),
    ': > "$t/log"; : > "$t/err"',
    `if { ${steps.join(" && ")}; }${tolerated}; then code=0; ${settings.config_only ? configuration : sizes}; else code=2; ${configuration}; fi`,
    `for each in log err; do [ ! -s "$t/$each" ] || sed "s|$PWD/||g; s|$PWD|.|g" "$t/$each" | head -c ${keptBytes} > "$r-$each"; done`,
    'cat "$t/log" "$t/err"',
    'echo "$code" > "$r-done"',
    '[ "$code" = 0 ]',
  ].join("; ");
}

/** Recipes are written for a host: what only the machine knows, its shell puts in. */
function filled(command: string, { name, arch }: Target): string {
  const own = command.replace(/(?<!\$)\{(jobs|cross|source)\}/g, (_, which: string) => machineWords[which]!);
  return fillIn(own, { out: outputDirectory, source: "", target: name, arch, cross: "", jobs: 1 });
}

const machineWords: Record<string, string> = {
  jobs: "$(nproc)",
  cross: "${CROSS_COMPILE}",
  source: "${PWD}",
};

function exported(variables: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(variables).flatMap(([name, value]) =>
    value === undefined ? [] : [`export ${name}=${quote(value)}`],
  );
}

/** Sets `CROSS_COMPILE`, or ends with a result that says that there is no compiler. */
function compilerFor({ arch }: Target, toolchains: Readonly<Record<string, string>>): string[] {
  const configured = Object.hasOwn(toolchains, arch);
  if (arch === hostArchitecture && !configured) return ["export CROSS_COMPILE="];
  const names = compilersFor(toolchains)[arch] ?? [];
  return [
    `cc=; for each in ${names.map(quotePath).join(" ")}; do [ -n "$cc" ] || cc=$(command -v "$each"); done`,
    `[ -n "$cc" ] || { echo 10 > "$r-done"; echo ${quote(`this machine has no compiler for ${arch}`)}; exit 1; }`,
    "case $cc in *-gcc) CROSS_COMPILE=${cc%gcc} ;; *-) CROSS_COMPILE=$cc ;; *) CROSS_COMPILE= ;; esac",
    "export CROSS_COMPILE",
    'case ${cc##*/} in clang | clang-[0-9]*) export MAKEFLAGS=" -- CC=$cc HOSTCC=$cc" ;; esac',
  ];
}
