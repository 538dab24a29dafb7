import { checkListenAddress } from "../../../os/network/listen-address.ts";
import type { OptionDeclaration } from "../../../os/command-line/options.ts";

/** How the agent runs, and what it tells about itself. */
export const serviceOptions: readonly OptionDeclaration[] = [
  {
    name: "verbose",
    kind: "integer",
    value: "0..6",
    default: 1,
    maximum: 6,
    prose:
      "how much is logged: 0 errors, 1 warnings and information, 2 commands and milestones, 3 steps, 4 what programs print, 5 and 6 traces",
  },
  {
    name: "log-format",
    kind: "choice",
    choices: ["terminal", "systemd", "json"],
    value: "FORMAT",
    defaultWords: "terminal, or systemd with --systemd-daemon",
    prose: "form of the log, which goes to standard error: lines to read, lines for the journal, or records",
  },
  {
    name: "systemd-daemon",
    kind: "flag",
    prose: "run as a service: log for the journal, readiness, status and watchdog",
    details:
      "The log then begins with a line for each fact: version, processors, memory, network, fingerprint of the key, interactive mode, toolchain, instance, instance maximum, and the controllers.",
  },
  {
    name: "status-listen",
    kind: "string",
    value: "ADDRESS:PORT",
    check: checkListenAddress,
    defaultWords: "nowhere",
    prose: "serve /healthz, /metrics (Prometheus) and /status (JSON) by HTTP here",
    details:
      "Whoever reaches the address may read them, so it should be a local one, such as `127.0.0.1:9400`; an IPv6 address stands in brackets, and port 0 is any free one.",
  },
];
