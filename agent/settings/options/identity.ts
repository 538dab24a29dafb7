import type { OptionDeclaration } from "../../../os/command-line/options.ts";
import { packageVersion } from "../../../os/files/package.ts";
import { checkToolchainName } from "../../../machines/names.ts";
import { isStandardVersion } from "../../../manifests/version.ts";

/** What machines are bootstrapped for, and which agent of the host this is. */
export const identityOptions: readonly OptionDeclaration[] = [
  {
    name: "toolchain-name",
    kind: "string",
    value: "NAME",
    default: "default",
    check: checkToolchainName,
    prose: "toolchain that machines are bootstrapped for",
    details: "It stands in the names of machines, directories and locks, and is reported to controllers.",
  },
  {
    name: "toolchain-num",
    kind: "integer",
    value: "N",
    default: 1,
    minimum: 1,
    maximum: 99,
    prose: "number of the toolchain; each toolchain of a host needs its own",
    details:
      "Ports and network interfaces of an instance are told apart by the offset (toolchain number - 1) x 100 + instance number.",
  },
  {
    name: "toolchain-lock",
    kind: "string",
    value: "PATH",
    check: (text) =>
      text === "" || text.startsWith("/") ? undefined : "expected an absolute path, or nothing for no lock",
    defaultWords: "/var/lock/croft-agent-NAME.lock; none in the fake modes",
    prose: "file that the instances of a toolchain lock while they choose machines; empty: no locking",
  },
  {
    name: "toolchain-ver",
    kind: "string",
    value: "VERSION",
    default: packageVersion,
    check: (text) =>
      isStandardVersion(text)
        ? undefined
        : "expected a standard version, for instance 1.2.0 or 1.2.0-b.1: controllers refuse other ones",
    defaultWords: "the version of croft",
    prose: "version of the toolchain, reported to controllers",
  },
  {
    name: "toolchain-id",
    kind: "string",
    value: "ID",
    default: "",
    defaultWords: "empty",
    prose: "a change of it bootstraps all machines again; empty: never compared",
  },
  {
    name: "instance",
    kind: "integer",
    value: "N",
    default: 1,
    minimum: 1,
    maximum: 99,
    prose: "number of this agent among those of its toolchain on this host",
  },
  {
    name: "instance-max",
    kind: "integer",
    value: "N",
    default: 0,
    maximum: 99,
    prose: "how many instances may be busy on this host; 0: any number, and priorities interrupt nothing",
    details:
      "While so many others are busy, an idle instance asks only those controllers whose priority may interrupt one of their tasks (priority monitoring).",
  },
];
