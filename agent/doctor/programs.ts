/** Node.js, and programs that an agent calls. */
import { missingPrograms } from "../../machines/image/programs.ts";
import { reasonOf } from "../../os/failure.ts";
import { packageVersion } from "../../os/files/package.ts";
import { run } from "../../os/run.ts";
import { firstLine } from "../../os/text/lines.ts";
import { ok, problem, warning, type Check, type Finding } from "./check.ts";

const nodeMajor = 24;

export const programChecks: readonly Check[] = [
  {
    name: "Node.js",
    run: async () => {
      const major = Number(process.versions.node.split(".")[0]);
      const found = `croft ${packageVersion} on ${process.version} (${process.execPath})`;
      return [
        major >= nodeMajor
          ? ok("Node.js", found)
          : problem(
              "Node.js",
              `${found}: version ${nodeMajor} or newer is needed`,
              "Run it with bin/croft.js.",
            ),
      ];
    },
  },
  {
    name: "setpriv",
    run: async (_settings, signal) => [
      await answers("setpriv", ["setpriv", "--version"], signal, "apt-get install util-linux"),
    ],
  },
  {
    name: "qemu-img",
    run: async (_settings, signal) => [
      await answers("qemu-img", ["qemu-img", "--version"], signal, "apt-get install qemu-utils"),
    ],
  },
  { name: "machine create", run: () => Promise.resolve([creation()]) },
  {
    name: "openssl",
    run: async ({ openssl }, signal) =>
      openssl
        ? [
            await answers(
              "openssl",
              [openssl.program, "version"],
              signal,
              "apt-get install openssl, or mend --openssl",
            ),
          ]
        : [],
  },
  {
    name: "systemd",
    run: async (settings, signal) => {
      if (!settings.systemd) return [];
      const found = await answers(
        "systemd-notify",
        ["systemd-notify", "--version"],
        signal,
        "apt-get install systemd",
      );
      return [found];
    },
  },
  {
    name: "user",
    run: async (settings): Promise<Finding[]> => {
      if (process.geteuid?.() === 0) return [ok("user", "root")];
      const lacking = ["btrfs snapshots", ...(settings.network.kind === "bridge" ? ["tap interfaces"] : [])];
      return [
        warning(
          "user",
          `not root: no ${lacking.join(", no ")}`,
          "Run the agent, and this check, as root (systemd/croft-agent@.service does).",
        ),
      ];
    },
  },
];

/** What making machines takes; a host that got its machines from elsewhere does without. */
export function creation(directories?: readonly string[]): Finding {
  const { programs, packages } = missingPrograms(directories);
  if (programs.length === 0) return ok("machine create", "all its programs are here");
  return warning(
    "machine create",
    `it lacks ${programs.join(", ")}`,
    `apt-get install ${packages.join(" ")}`,
  );
}

/** A program that can be run, with the first line of what it says. */
async function answers(
  subject: string,
  argv: readonly string[],
  signal: AbortSignal,
  fix: string,
): Promise<Finding> {
  try {
    const { stdout } = await run(argv, { timeoutSeconds: 10, signal });
    return ok(subject, firstLine(stdout).trim());
  } catch (error) {
    return problem(subject, reasonOf(error), fix);
  }
}
