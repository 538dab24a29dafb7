/** Options of commands that ask a controller of this host. */
import type { OptionDeclaration } from "../../os/command-line/options.ts";

/** Which controller is meant. */
export const placeOptions: readonly OptionDeclaration[] = [
  {
    name: "data",
    kind: "string",
    value: "DIR",
    commandLineOnly: true,
    prose: "the data directory of the controller (default: that of its configuration, or ./croft-data)",
  },
  {
    name: "config",
    kind: "string",
    value: "FILE",
    commandLineOnly: true,
    prose: "the configuration of the controller",
  },
];
