import {
  lastWord,
  withAllBelow,
  type CompletedCommand,
  type CompletedOption,
  type ValueKind,
} from "./declared.ts";
import { shellQuoted } from "./quoting.ts";

/**
 * A completion function for zsh (zshcompsys(1)), as a file `_PROGRAM` in a directory of `fpath`, or to be read by a shell
 * that has called `compinit`.
 *
 * @param program what is typed to call the program.
 */
export function zshCompletion(program: string, root: CompletedCommand): string {
  const commands = withAllBelow(root);
  const paths = commands.slice(1).map(({ path }) => shellQuoted(` ${path}`));
  return `#compdef ${program}
# Completion of ${program} for zsh. Made by: ${program} completion zsh
_${program}() {
  local command=''
  integer i last=1
  for ((i = 2; i < CURRENT; i++)); do
    case "$command $words[i]" in
      (${paths.join("|")})
        command+=" $words[i]"
        last=$i
        ;;
    esac
  done
  shift $((last - 1)) words
  ((CURRENT -= last - 1))
  case $command in
${commands.map(commandCase).join("\n")}
  esac
}
if [ "$funcstack[1]" = _${program} ]; then
  _${program} "$@"
else
  compdef _${program} ${program}
fi
`;
}

function commandCase({ path, below, options, argument }: CompletedCommand): string {
  const specifications = options.flatMap(optionSpecifications);
  if (below.length > 0) {
    const words = below.map((one) => `${lastWord(one)}\\:${shellQuoted(plain(one.summary))}`);
    specifications.push(shellQuoted(`1:command:((${words.join(" ")}))`));
  }
  if (argument.kind !== "text")
    specifications.push(shellQuoted(`*:${plain(argument.name)}:${actionOf(argument.kind)}`));
  return `    (${shellQuoted(path === "" ? "" : ` ${path}`)})
      _arguments \\
        ${specifications.join(" \\\n        ")}
      ;;`;
}

function optionSpecifications({ long, short, summary, value }: CompletedOption): string[] {
  const end = value === undefined ? "" : `:${plain(value.name)}:${actionOf(value.kind)}`;
  return [
    `*${long}${value === undefined ? "" : "="}[${plain(summary)}]${end}`,
    ...(short === undefined ? [] : [`*${short}[${plain(summary)}]${end}`]),
  ].map(shellQuoted);
}

function actionOf(kind: ValueKind): string {
  if (kind === "text") return " ";
  if (kind === "files") return "_files";
  if (kind === "directories") return "_files -/";
  return `(${kind.join(" ")})`;
}

/** Without what means something in a specification. */
function plain(text: string): string {
  return text
    .replace(/[[\]\\]/g, "")
    .replaceAll(":", ",")
    .replaceAll("'", "’")
    .replaceAll('"', "");
}
