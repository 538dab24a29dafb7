import type { OptionDeclaration } from "../os/command-line/options.ts";

/** The options of `croft controller`. */
export const controllerOptions: readonly OptionDeclaration[] = [
  { name: "config", kind: "string", value: "FILE", prose: "read the configuration from this YAML file" },
  {
    name: "listen",
    kind: "string",
    value: "ADDRESS:PORT",
    prose: "listen here; port 0: any free one (default: 127.0.0.1:8420)",
  },
  {
    name: "data",
    kind: "string",
    value: "DIR",
    prose: "keep database, logs and artifacts here (default: ./croft-data)",
  },
  {
    name: "public-url",
    kind: "string",
    value: "URL",
    prose: "where agents and people reach this controller (default: where it listens)",
  },
  {
    name: "log-format",
    kind: "choice",
    choices: ["terminal", "systemd", "json"],
    default: "terminal",
    prose: "how to log",
  },
  {
    name: "verbose",
    kind: "integer",
    value: "0..6",
    minimum: 0,
    maximum: 6,
    default: 1,
    prose: "how much to log",
  },
];
