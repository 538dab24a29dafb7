import { lastWord, namesOf, typed, withAllBelow, type CompletedCommand, type ValueKind } from "./declared.ts";
import { quote } from "../text/shell-word.ts";

/**
 * A completion script for bash (its manual, "Programmable Completion"), for 4.0 and newer; it needs no other package.
 *
 * @param program what is typed to call the program.
 */
export function bashCompletion(program: string, root: CompletedCommand): string {
  const commands = withAllBelow(root);
  const name = `_${program}`;
  return `# Completion of ${program} for bash. Made by: ${program} completion bash
${name}() {
  local word=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} command='' i
  # bash takes --option=value apart.
  if [[ $word == = ]]; then
    word=''
  elif [[ $previous == = ]]; then
    previous=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$command \${COMP_WORDS[i]}" in
      ${patterns(commands.slice(1).map(typed))}) command+=" \${COMP_WORDS[i]}" ;;
    esac
  done
  COMPREPLY=()
  case "$command $previous" in
${valueCases(commands)}
  esac
  case "$command" in
${commands.map(commandCase).join("\n")}
  esac
}
complete -F ${name} ${program}
`;
}

/** What comes after an option that has a value, by the kind of value. */
function valueCases(commands: readonly CompletedCommand[]): string {
  const actions = new Map<string, string[]>();
  for (const command of commands)
    for (const option of command.options) {
      if (!option.value) continue;
      const action = replyOf(option.value.kind);
      const places = namesOf(option).map((name) => `${typed(command)} ${name}`);
      actions.set(action, [...(actions.get(action) ?? []), ...places]);
    }
  return [...actions]
    .map(([action, places]) => `    ${patterns(places)})\n      ${action}return\n      ;;`)
    .join("\n");
}

function commandCase(command: CompletedCommand): string {
  const { below, options, argument } = command;
  const words = [...below.map(lastWord), ...(typeof argument.kind === "string" ? [] : argument.kind)];
  const flags = options.flatMap(namesOf);
  const others = typeof argument.kind === "string" ? replyOf(argument.kind) : "";
  return `    ${quote(typed(command))})
      if [[ $word == -* ]]; then
        ${replyOf(flags)}
      else
        ${words.length > 0 ? replyOf(words) : others || ":"}
      fi
      ;;`;
}

function replyOf(kind: ValueKind): string {
  switch (kind) {
    case "text":
      return "";
    case "files":
      return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); ';
    case "directories":
      return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word"); ';
    default:
      return `mapfile -t COMPREPLY < <(compgen -W ${quote(kind.join(" "))} -- "$word"); `;
  }
}

function patterns(texts: readonly string[]): string {
  return texts.map(quote).join(" | ");
}
