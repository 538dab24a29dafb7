import type { OptionDeclaration } from "../../../os/command-line/options.ts";

/** Directories and ports. */
export const placeOptions: readonly OptionDeclaration[] = [
  {
    name: "machines",
    kind: "path",
    value: "DIR",
    default: "/build/machines",
    prose: "directory of the volumes with build machines",
  },
  {
    name: "storage",
    kind: "choice",
    choices: ["auto", "btrfs", "directory"],
    value: "KIND",
    default: "auto",
    prose: "how snapshots of machines are made",
    details:
      "`auto` looks at the file system: btrfs subvolumes where it is btrfs, else directories, where the snapshot of a task is an overlay on the disk of its machine.",
  },
  {
    name: "tftp",
    kind: "path",
    value: "DIR",
    default: "/build/tftp",
    prose: "directory of the files that are exchanged with machines",
  },
  {
    name: "tftp-port",
    kind: "integer",
    value: "PORT",
    default: 23400,
    minimum: 1024,
    maximum: 55000,
    prose: "base of the UDP ports that machines are served on; the offset of the instance is added",
  },
  {
    name: "spool",
    kind: "path",
    value: "DIR",
    default: "/var/lib/croft/spool",
    prose: "directory of the results that their controller has not accepted yet",
  },
  {
    name: "runtime",
    kind: "path",
    value: "DIR",
    defaultWords: "/run/croft for root, else croft in $XDG_RUNTIME_DIR",
    prose: "directory of sockets, pid files and consoles",
  },
];
