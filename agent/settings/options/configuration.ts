import type { OptionDeclaration } from "../../../os/command-line/options.ts";

/** Where the other options come from. */
export const configurationOptions: readonly OptionDeclaration[] = [
  {
    name: "config",
    kind: "string",
    value: "FILE",
    commandLineOnly: true,
    prose: "YAML file with options and controllers; the command line wins over it",
  },
  {
    name: "print-config",
    kind: "flag",
    commandLineOnly: true,
    prose: "print the effective configuration and where each value comes from, and exit",
    details:
      "What is printed can be used as a file for `--config` again. Nothing else is done, and no controller is needed.",
  },
];
