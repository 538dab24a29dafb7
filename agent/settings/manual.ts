/** The agent's page of the manual: all but the options' own words, which stand with their declaration. */
import type { Block, ManualPage, Section } from "../../os/manual/page.ts";
import { packageVersion } from "../../os/files/package.ts";
import { agentExamples } from "./examples.ts";
import { agentOptions } from "./options.ts";

const description: Block[] = [
  "An agent polls controllers for tasks, and performs each in a clean virtual machine that is made from a snapshot and thrown away afterwards. It performs one task at a time: a host runs as many instances as it is to have parallel builds, each with a number of its own (`--instance`). They coordinate through locks alone.",
  "A controller is given by the URL that it gives tasks at, with a priority before it if it has one, as `PRIORITY=URL`. Controllers are asked from the highest priority to the lowest, and in random order among equals. What comes before the equals sign is a priority only if it consists of digits.",
  "A priority has four or five digits, `[F]DCBA`, and is at most 19999; without one it is 0000. Each digit adds to what the ones after it do:",
  {
    terms: [
      ["A", "Order of asking only."],
      [
        "B",
        "While a task of a higher value of DCB runs on this host, controllers of a lower one are not asked by idle instances.",
      ],
      [
        "C",
        "May interrupt one running task of a lower value of DC: the one on the machine that is needed or, where `--instance-max` is reached, the one of the lowest priority as well.",
      ],
      ["D", "Interrupts all running tasks of a lower value of D."],
      ["F", "With D: the machine gets the processors and the memory of all instances together."],
    ],
  },
  "Digits other than A have no effect unless `--instance-max` is given. An interrupted task is reported as such, and its controller queues it again.",
  "A result that a machine has produced is kept in the spool until its controller has accepted it, through crashes and restarts of either, for 7 days.",
];

const installation: Block[] = [
  "`croft agent install` runs agents as services of systemd on this host; `croft agent install --help` has its options.",
  "`croft agent key add NAME FILE`, `croft agent key list` and `croft agent key revoke NAME` look after the public keys of agents at a controller that runs on this host (`--data`, `--config`).",
];

const configurationFile: Block[] = [
  "With `--config`, options are read from a YAML file, too. Its keys are the names of the options without the dashes before them; the controllers stand in a list under the key `controllers`. Flags are `true` or `false`, options that may repeat are lists, numbers are numbers, and text that looks like a number needs quotes. What only makes sense on the command line (`--config`, `--print-config`, `--dump-*`, `--fake-*`) is no key.",
  "The command line wins over the file, and a list there replaces the list in the file as a whole. An unknown key, a key that stands there twice, or a value of the wrong type or out of range is an error that names the file, the line, the column and the key. Relative paths start from the directory that the agent runs in.",
  {
    language: "yaml",
    code: `# /etc/croft/agent.yaml
cpu: 2
ram: 4194304
instance-max: 4
auth-key: /etc/croft/agent.key
toolchain-ver: 1.10.0
controllers:
  - 0100=https://urgent.example/task
  - https://farm.example/task`,
  },
];

const signals: Block[] = [
  {
    terms: [
      [
        "`SIGTERM`, `SIGINT`",
        "End. A running task is interrupted and reported so, which takes 10 seconds at most; what could not be sent stays in the spool.",
      ],
      [
        "`SIGHUP`",
        "Read the configuration again before the next round. One that cannot be used changes nothing.",
      ],
      ["`SIGUSR1`", "Give the machine up for a task of higher priority; agents send this to each other."],
      ["`SIGUSR2`", "Drain: finish the current task, then end."],
      ["`SIGPIPE`", "Ignored."],
    ],
  },
];

const exitStatus: Block[] = [
  {
    terms: [
      ["0", "As asked."],
      ["1", "A failure that was reported."],
      ["2", "Wrong usage of the command line or of the configuration file."],
      ["70", "Anything unexpected, with a stack trace."],
    ],
  },
];

const files: Block[] = [
  "T is the name of the toolchain, I the number of the instance, M the name of a machine. The directories are those of `--spool`, `--tftp`, `--runtime` and `--machines`.",
  {
    terms: [
      ["`/etc/croft/agent.yaml`", "The configuration file of the systemd unit `croft-agent@.service`."],
      ["`/var/lock/croft-agent-T.lock`", "The toolchain lock. The file stays."],
      ["`/var/lib/croft/spool/T-I/`", "What the instance owes to controllers."],
      [
        "`/var/lib/croft/spool/T-I/rejected/`",
        "Results that their controller has refused for good, with its answer, the newest 100 and at most 1 GiB: `croft agent rejected list`, `show`, `send`, `drop`.",
      ],
      [
        "`/build/tftp/`",
        "Files of machines that are running, below `toolchains/T`, `bootstrap/T-I` and `build/T-I`.",
      ],
      ["`/run/croft/T-I/`", "Sockets, pid file and console of the machine."],
      [
        "`/build/machines/`",
        "Volumes with machines: `M-1` links to the current revision, `M-T` is the bootstrapped machine, `M-T.lock` its lock, `M-T-K.lock` the lock of its copy K (from 2 on).",
      ],
      [
        "`/var/lib/croft/spool/T-I/lock`, `/run/croft/T-I/lock`, `/build/tftp/build/T-I.lock`, `/build/machines/.croft-T-I.lock`",
        "Locks against a second agent of the same toolchain and instance. The files stay.",
      ],
    ],
  },
];

const environment: Block[] = [
  {
    terms: [
      [
        "`XDG_RUNTIME_DIR`",
        "For users other than root, where the runtime directory is made without `--runtime`.",
      ],
    ],
  },
];

const examples: Block[] = agentExamples.flatMap(({ prose, command }): Block[] => [
  `${prose}:`,
  { language: "sh", code: command },
]);

/** Sections that are part of the manual in Markdown as well, by the names of their markers there. */
export const sharedSections: Readonly<Record<string, Section>> = {
  options: { title: "Options", blocks: [{ options: agentOptions }] },
  "configuration-file": { title: "Configuration file", blocks: configurationFile },
  signals: { title: "Signals", blocks: signals },
  "exit-status": { title: "Exit status", blocks: exitStatus },
  files: { title: "Files", blocks: files },
};

/** croft-agent(1). */
export const agentPage: ManualPage = {
  name: "croft-agent",
  section: 1,
  summary: "perform build tasks in clean virtual machines",
  version: packageVersion,
  sections: [
    {
      title: "Synopsis",
      blocks: [
        "`croft agent` [OPTIONS] [[PRIORITY=]URL ...]",
        "`croft agent install` [OPTIONS] [[PRIORITY=]URL ...]",
        "`croft agent key` add|list|revoke [OPTIONS] [NAME] [FILE]",
      ],
    },
    { title: "Description", blocks: [...description, ...installation] },
    {
      title: "Options",
      blocks: [
        ...sharedSections["options"]!.blocks,
        {
          terms: [
            ["`--version`", "Print the version of croft."],
            ["`-h`, `--help`", "Print a summary."],
          ],
        },
      ],
    },
    ...["configuration-file", "signals", "exit-status", "files"].map((name) => sharedSections[name]!),
    { title: "Environment", blocks: environment },
    { title: "Examples", blocks: examples },
    {
      title: "See also",
      blocks: [
        "`qemu-system-x86_64`(1), `btrfs`(8), `openssl-pkeyutl`(1), `systemd.service`(5). Each command of croft explains itself with `--help`.",
      ],
    },
  ],
};
