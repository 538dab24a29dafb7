import { lastWord, withAllBelow, type CompletedCommand, type ValueKind } from "./declared.ts";
import { shellQuoted } from "./quoting.ts";

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
      ${patterns(commands.slice(1).map(({ path }) => ` ${path}`))}) command+=" \${COMP_WORDS[i]}" ;;
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
  for (const { path, options } of commands)
    for (const { long, short, value } of options)
      if (value) {
        const action = replyOf(value.kind);
        const places = [long, ...(short === undefined ? [] : [short])].map(
          (option) => `${command(path)} ${option}`,
        );
        actions.set(action, [...(actions.get(action) ?? []), ...places]);
      }
  return [...actions]
    .map(([action, places]) => `    ${patterns(places)})\n      ${action}return\n      ;;`)
    .join("\n");
}

function commandCase({ path, below, options, argument }: CompletedCommand): string {
  const words = [...below.map(lastWord), ...(typeof argument.kind === "string" ? [] : argument.kind)];
  const flags = options.flatMap(({ long, short }) => [long, ...(short === undefined ? [] : [short])]);
  const others = typeof argument.kind === "string" ? replyOf(argument.kind) : "";
  return `    ${shellQuoted(command(path))})
      if [[ $word == -* ]]; then
        ${replyOf(flags)}
      else
        ${words.length > 0 ? replyOf(words) : others || ":"}
      fi
      ;;`;
}

/** The command as the script has it: each word after a blank. */
function command(path: string): string {
  return path === "" ? "" : ` ${path}`;
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
      return `mapfile -t COMPREPLY < <(compgen -W ${shellQuoted(kind.join(" "))} -- "$word"); `;
  }
}

function patterns(texts: readonly string[]): string {
  return texts.map(shellQuoted).join(" | ");
}
