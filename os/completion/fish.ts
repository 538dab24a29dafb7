import {
  lastWord,
  typed,
  withAllBelow,
  type CompletedCommand,
  type CompletedOption,
  type ValueKind,
} from "./declared.ts";
import { quote } from "../text/shell-word.ts";

/**
 * A completion script for fish (its manual, "Writing your own completions").
 *
 * @param program what is typed to call the program.
 */
export function fishCompletion(program: string, root: CompletedCommand): string {
  const commands = withAllBelow(root);
  const at = `__${program}_at`;
  const paths = commands.slice(1).map((command) => quote(typed(command)));
  return `# Completion of ${program} for fish. Made by: ${program} completion fish
function ${at}
  set -l command ''
  for word in (commandline -opc)[2..-1]
    switch "$command $word"
      case ${paths.join(" ")}
        set command "$command $word"
    end
  end
  test "$command" = "$argv[1]"
end
complete -c ${program} -f
${commands.flatMap((command) => linesOf(`complete -c ${program} -n`, at, command)).join("\n")}
`;
}

function linesOf(start: string, at: string, command: CompletedCommand): string[] {
  const { below, options, argument } = command;
  const here = `${start} ${quote(`${at} "${typed(command)}"`)}`;
  return [
    ...below.map((one) => `${here} -a ${lastWord(one)} -d ${quote(one.summary)}`),
    ...(argument.kind === "text" ? [] : [`${here} ${valueOf(argument.kind).replace(/^-[rx] /, "")}`]),
    ...options.map((option) => `${here} ${optionOf(option)}`),
  ];
}

function optionOf({ long, short, summary, value }: CompletedOption): string {
  return [
    `-l ${long.slice(2)}`,
    ...(short === undefined ? [] : [`-s ${short.slice(1)}`]),
    ...(value === undefined ? [] : [valueOf(value.kind)]),
    `-d ${quote(summary)}`,
  ].join(" ");
}

function valueOf(kind: ValueKind): string {
  if (kind === "text") return "-x";
  if (kind === "files") return "-r -F";
  if (kind === "directories") return "-x -a '(__fish_complete_directories)'";
  return `-x -a ${quote(kind.join(" "))}`;
}
