import {
  lastWord,
  namesOf,
  typed,
  withAllBelow,
  type CompletedCommand,
  type CompletedOption,
  type ValueKind,
} from "./declared.ts";
import { quote } from "../text/shell-word.ts";

/**
 * A completion function for zsh (zshcompsys(1)), as a file `_PROGRAM` in a directory of `fpath`, or to be read by a shell
 * that has called `compinit`.
 *
 * @param program what is typed to call the program.
 */
export function zshCompletion(program: string, root: CompletedCommand): string {
  const commands = withAllBelow(root);
  const paths = commands.slice(1).map((command) => quote(typed(command)));
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

function commandCase(command: CompletedCommand): string {
  const { below, options, argument } = command;
  const specifications = options.flatMap(optionSpecifications);
  if (below.length > 0) {
    const words = below.map((one) => `${lastWord(one)}\\:${quote(plain(one.summary))}`);
    specifications.push(quote(`1:command:((${words.join(" ")}))`));
  }
  if (argument.kind !== "text")
    specifications.push(quote(`*:${plain(argument.name)}:${actionOf(argument.kind)}`));
  return `    (${quote(typed(command))})
      _arguments \\
        ${specifications.join(" \\\n        ")}
      ;;`;
}

function optionSpecifications(option: CompletedOption): string[] {
  const { long, summary, value } = option;
  const end = value === undefined ? "" : `:${plain(value.name)}:${actionOf(value.kind)}`;
  return namesOf(option).map((name) => {
    const sign = name === long && value !== undefined ? "=" : "";
    return quote(`*${name}${sign}[${plain(summary)}]${end}`);
  });
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
