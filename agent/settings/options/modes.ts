import { checkNotEmpty, type OptionDeclaration } from "../../../os/command-line/options.ts";

/** Modes for looking at an agent and for testing; none of them belongs in a configuration file. */
export const modeOptions: readonly OptionDeclaration[] = (
  [
    { name: "dump-machines", kind: "flag", prose: "print the machines' manifests and exit" },
    { name: "dump-task", kind: "flag", prose: "print the first task received and exit" },
    {
      name: "dump-result",
      kind: "flag",
      prose: "print the first task's result instead of sending it and exit",
    },
    { name: "fake-bootstrap", kind: "flag", prose: "bootstrap machines without starting them" },
    { name: "fake-build", kind: "flag", prose: "answer every task with status abort at once" },
    {
      name: "fake-machine",
      kind: "string",
      value: "FILE",
      check: checkNotEmpty,
      prose: "offer this machine (a header manifest), and wait for results in its TFTP directory",
    },
    {
      name: "fake-request",
      kind: "string",
      value: "FILE",
      check: checkNotEmpty,
      prose: "perform this task (a task manifest), print the result and exit",
    },
  ] satisfies OptionDeclaration[]
).map((option) => ({ ...option, commandLineOnly: true }));
