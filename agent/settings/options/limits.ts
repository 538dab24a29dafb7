import { integerOption, type OptionDeclaration } from "../../../os/command-line/options.ts";

const retries = { minimum: 0, maximum: 100 };

/** Times and tries of what machines do. */
export const limitOptions: readonly OptionDeclaration[] = [
  integerOption("build-timeout", "SECONDS", 5400, "time for a task, from its machine's first sign of life"),
  integerOption("interactive-timeout", "SECONDS", 10800, "the same for an interactive task"),
  integerOption(
    "bootstrap-timeout",
    "SECONDS",
    3600,
    "time for a bootstrap, from its machine's first sign of life",
  ),
  integerOption(
    "auxiliary-timeout",
    "SECONDS",
    600,
    "time for an auxiliary machine's services to come up, from its first sign of life",
  ),
  {
    ...integerOption("startup-timeout", "SECONDS", undefined, "time for a machine's first sign of life"),
    defaultWords: "300 for a bootstrap, 120 for a task",
  },
  {
    ...integerOption(
      "bootstrap-retries",
      "N",
      2,
      "how often a bootstrap without a sign of life is tried again",
    ),
    ...retries,
  },
  {
    ...integerOption("build-retries", "N", 2, "how often a task without a sign of life is tried again"),
    ...retries,
  },
  {
    name: "no-suspend",
    kind: "flag",
    prose:
      "power a machine that misbehaved off and keep its console, instead of suspending it for the operator",
  },
];
