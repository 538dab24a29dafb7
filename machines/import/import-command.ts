import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import {
  addOptions,
  givenValues,
  withDefaults,
  type OptionDeclaration,
} from "../../os/command-line/options.ts";
import { UsageFailure } from "../../os/failure.ts";
import { makeLog } from "../../os/log.ts";
import { GiB } from "../../os/text/size.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import {
  assertAuxiliaryName,
  assertMachineName,
  interruptible,
  placeOptions,
  roleOption,
  stepPrinter,
} from "../image/making-command.ts";
import { openStorage } from "../open-storage.ts";
import type { StorageKind } from "../storage.ts";
import { imageSource } from "./source.ts";

const summaryOption: OptionDeclaration = {
  name: "summary",
  kind: "string",
  value: "TEXT",
  prose: "one line that describes the machine",
};

/** What the image is. */
const imageOptions: readonly OptionDeclaration[] = [
  {
    name: "format",
    kind: "choice",
    choices: ["qcow2", "raw"],
    prose: "what the image is, where its name does not end in .qcow2 or .raw (and then perhaps .xz or .zst)",
  },
  {
    name: "sha256",
    kind: "string",
    value: "DIGITS",
    check: (text) => (/^[0-9a-f]{64}$/i.test(text) ? undefined : "expected 64 hexadecimal digits"),
    prose: "checksum of the file as it is fetched; required over http:",
  },
  {
    name: "max-size",
    kind: "integer",
    value: "GIB",
    default: 32,
    minimum: 1,
    maximum: 1024,
    prose: "how large the image may be, unpacked and not, in GiB",
  },
  {
    name: "disk-size",
    kind: "integer",
    value: "GIB",
    default: 8,
    minimum: 1,
    maximum: 1024,
    prose:
      "size of the machine's disk in GiB, taken from the host only as it is written; the image's own where that is more",
  },
  {
    name: "kernel",
    kind: "path",
    value: "FILE",
    prose: "kernel to start, instead of what the image starts with",
  },
  { name: "initrd", kind: "path", value: "FILE", prose: "initial RAM disk for that kernel" },
  {
    name: "cmdline",
    kind: "string",
    value: "TEXT",
    prose: "parameters for that kernel, such as root=LABEL=…",
  },
];

/** How it is made ready. */
const bootOptions: readonly OptionDeclaration[] = [
  {
    name: "user-data",
    kind: "path",
    value: "FILE",
    prose: "what cloud-init does besides, before the machine is made ready: packages, commands…",
  },
  {
    name: "timeout",
    kind: "integer",
    value: "SECONDS",
    default: 1800,
    minimum: 1,
    maximum: 86400,
    prose: "how long the one boot may take until the machine is ready, in seconds",
  },
  {
    name: "cpus",
    kind: "integer",
    value: "N",
    default: 2,
    minimum: 1,
    maximum: 512,
    prose: "processors for that boot",
  },
  {
    name: "ram",
    kind: "integer",
    value: "KIB",
    default: 1048576,
    minimum: 65536,
    maximum: 2 ** 32,
    prose: "memory for that boot, in KiB",
  },
  {
    name: "accel",
    kind: "choice",
    choices: ["auto", "kvm", "tcg"],
    default: "auto",
    prose: "hardware virtualization or software emulation",
  },
  {
    name: "uid",
    kind: "integer",
    value: "N",
    default: 69999,
    minimum: 1,
    maximum: 2147483647,
    prose: "number of the user, nobody else's, who reads the image where root imports it",
  },
];

const importOptions = [
  ...placeOptions,
  summaryOption,
  roleOption("--user-data"),
  ...imageOptions,
  ...bootOptions,
];

/** The `croft machine import` command. */
export function importCommand(): Command {
  const command = makeCommand("import", "makes a machine, or a new revision of one, from a cloud image");
  command.argument("<name>", "name of the machine");
  command.argument("<image>", "file, or http: or https: URL");
  addOptions(command, importOptions);
  command.addHelpText(
    "after",
    `
The image needs cloud-init and systemd, and a boot loader for a BIOS unless it gets a kernel. It is booted once, gets
croft-init as a service, and is published.`,
  );
  command.action((name: string, image: string) => importImage(name, image, command));
  return command;
}

async function importImage(name: string, image: string, command: Command): Promise<void> {
  const values = withDefaults(givenValues(command, importOptions), importOptions);
  const text = (option: string) => values[option] as string | undefined;
  const number = (option: string) => values[option] as number;
  assertMachineName("import", name);
  const role = text("role") === "auxiliary" ? ("auxiliary" as const) : undefined;
  if (role !== undefined) assertAuxiliaryName("import", name);
  if (text("kernel") === undefined && (text("initrd") ?? text("cmdline")) !== undefined)
    throw new UsageFailure(`import machine '${name}'`, "--initrd and --cmdline are for a --kernel");
  const format = text("format") as "qcow2" | "raw" | undefined;
  const source = imageSource(image, withoutUndefined({ format, sha256: text("sha256") }));
  const { makeMachinesDirectory } = await import("../image/create-machine.ts");
  const { importMachine, readUserData } = await import("./import-machine.ts");
  const { imageUser } = await import("./unprivileged.ts");
  const userDataFile = text("user-data");
  const userData = userDataFile === undefined ? undefined : await readUserData(userDataFile);
  const machines = String(values["machines"]);
  const log = makeLog();
  await makeMachinesDirectory(machines);
  const accel = values["accel"] as "auto" | "kvm" | "tcg";
  using interruption = interruptible(`import machine '${name}'`);
  const revision = await importMachine({
    ...{ name, source, machines, accel, log },
    storage: await openStorage(machines, values["storage"] as "auto" | StorageKind, log),
    summary: text("summary") ?? `imported from ${source.name}`,
    maxBytes: number("max-size") * GiB,
    diskBytes: number("disk-size") * GiB,
    boot: withoutUndefined({ kernel: text("kernel"), initrd: text("initrd"), cmdline: text("cmdline") }),
    user: imageUser(number("uid"), accel),
    ...{ cpus: number("cpus"), ramKiB: number("ram"), timeoutSeconds: number("timeout") },
    ...withoutUndefined({ userData, role, volume: text("volume") }),
    onStep: stepPrinter(),
    signal: interruption.signal,
  });
  process.stdout.write(`${revision}\n`);
}
