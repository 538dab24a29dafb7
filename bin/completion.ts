/** `croft completion`: what shells need to complete croft's command lines. */
import { Argument, type Command } from "commander";
import { makeCommand } from "../os/command-line/command.ts";
import { bashCompletion } from "../os/completion/bash.ts";
import { completedProgram, type CompletedCommand } from "../os/completion/declared.ts";
import { fishCompletion } from "../os/completion/fish.ts";
import { zshCompletion } from "../os/completion/zsh.ts";

const scripts: Record<string, (program: string, root: CompletedCommand) => string> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

/** The commands that are completed, by name, each loaded when it is asked for. */
type Commands = Readonly<Record<string, { load: () => Promise<Command> }>>;

export function completionCommand(commands: Commands): Command {
  const command = makeCommand("croft completion", "print the completion of commands and options for a shell");
  command.addArgument(new Argument("<shell>", "the shell").choices(Object.keys(scripts)));
  command.addHelpText(
    "after",
    `
For the shell that is open:
  bash: eval "$(croft completion bash)"
  zsh:  eval "$(croft completion zsh)" (after compinit)
  fish: croft completion fish | source
For all to come: the same line in ~/.bashrc, ~/.zshrc, ~/.config/fish/config.fish.`,
  );
  return command.action(async (shell: string) => {
    process.stdout.write(await completionScript(shell, commands));
  });
}

/** The script for a shell: `bash`, `zsh` or `fish`. */
export async function completionScript(shell: string, commands: Commands): Promise<string> {
  const loaded: Record<string, Command> = {};
  for (const [name, { load }] of Object.entries(commands)) loaded[name] = await load();
  return scripts[shell]!("croft", completedProgram(loaded));
}
