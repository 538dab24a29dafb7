import { checkNotEmpty, type OptionDeclaration } from "../../../os/command-line/options.ts";

/** What virtual machines are given. */
export const machineOptions: readonly OptionDeclaration[] = [
  {
    name: "network",
    kind: "choice",
    choices: ["user", "bridge"],
    value: "KIND",
    default: "user",
    prose: "network of the machines: QEMU's own, or a bridge of the host with croft's filter rules",
  },
  {
    name: "bridge",
    kind: "string",
    value: "INTERFACE",
    default: "br1",
    check: (text) => (/^[^\s/:]{1,15}$/.test(text) ? undefined : "expected the name of a network interface"),
    prose: "bridge that machines are attached to with --network bridge",
  },
  {
    name: "accel",
    kind: "choice",
    choices: ["auto", "kvm", "tcg"],
    value: "KIND",
    default: "auto",
    prose: "accelerator of QEMU: hardware (kvm), emulation (tcg), or the best that works here",
  },
  {
    name: "qemu",
    kind: "string",
    value: "PATH",
    check: checkNotEmpty,
    defaultWords: "qemu-system-ARCHITECTURE",
    prose: "QEMU program",
  },
  {
    name: "machine-uid",
    kind: "integer",
    value: "N",
    default: 70000,
    maximum: 2 ** 31 - 100_000,
    prose:
      "machines of an agent that is root run as the user with this number plus the instance's offset; 0: as root",
    details:
      "These users need no entry in the user database, and must be nobody else's; those of auxiliary machines begin at this number plus 10001. QEMU gets what it needs open, and may do nothing else: a guest that breaks out of it has won nothing. In a container whose users end at 65535, give a lower number.",
  },
  {
    name: "cpu",
    kind: "integer",
    value: "N",
    default: 1,
    minimum: 1,
    maximum: 1024,
    prose: "processors of a machine",
  },
  {
    name: "ram",
    kind: "integer",
    value: "KIB",
    default: 1048576,
    minimum: 65536,
    maximum: 2 ** 32,
    prose: "memory of a machine, in KiB",
  },
  {
    name: "auxiliary-ram",
    kind: "integer",
    value: "KIB",
    default: "auto",
    minimum: 0,
    maximum: 2 ** 32,
    words: ["auto"],
    prose: "memory for the auxiliary machines of a task, in KiB; auto: what this host has left",
    details:
      "With auto, what is available when the agent asks, less `--ram` for each instance. Tasks whose auxiliary machines need more are not taken. 0: no task with auxiliary machines.",
  },
  {
    name: "machine-copies",
    kind: "integer",
    value: "N",
    default: 1,
    minimum: 1,
    maximum: 99,
    words: ["auto"],
    prose: "how many builds at a time one machine may serve; auto: as many as this host has instances",
    details:
      "Each build has a virtual machine of its own in any case, with what `--cpu` and `--ram` say. Builds of the same machine share what it was bootstrapped to, and nothing that they write. Before a machine is bootstrapped again, its builds end, and no others begin. All agents of a host should have the same number.",
  },
  {
    name: "no-warm",
    kind: "flag",
    prose: "boot a machine for every task, instead of restoring it as it was when it waited for one",
    details:
      "A machine is saved after its bootstrap, beside its disks; see the chapter on machines that start at once. A file `no-warm` in a machine's directory, or in its revision, does the same for that machine alone.",
  },
  {
    name: "ahead",
    kind: "choice",
    value: "WHEN",
    choices: ["auto", "off"],
    default: "auto",
    prose:
      "restore the machine that was used last while there is no task: auto (if the host has the memory) or off",
    details:
      "The memory that is available must be four times that of the machines of all instances; with less than twice that, the machine is thrown away.",
  },
  {
    name: "upload-max",
    kind: "integer",
    value: "BYTES",
    default: 2 ** 30,
    minimum: 1024,
    prose: "most that a machine may upload in one boot, in bytes",
    details: "A compressed result may have at most four times as much when it is unpacked.",
  },
];
