/** The agent's options, each declared once: the command line, the configuration file and the help derive from this. */
import type { OptionDeclaration } from "../host/options.ts";
import { packageVersion } from "../host/package.ts";
import { checkToolchainName } from "../machines/names.ts";

const seconds = (name: string, byDefault: number, prose: string): OptionDeclaration => ({
  name,
  kind: "integer",
  value: "SECONDS",
  default: byDefault,
  minimum: 1,
  maximum: 7 * 24 * 3600,
  prose,
});

const running: OptionDeclaration[] = [
  {
    name: "verbose",
    kind: "integer",
    value: "0..6",
    default: 1,
    maximum: 6,
    prose:
      "how much is logged: 0 errors, 1 information, 2 milestones, 3 steps, 4 what programs print, 5 and 6 traces",
  },
  {
    name: "systemd-daemon",
    kind: "flag",
    prose: "run as a service: journal-style log, readiness and status",
  },
  {
    name: "log-format",
    kind: "choice",
    choices: ["terminal", "systemd", "json"],
    value: "FORMAT",
    prose: "form of the log",
  },
];

const identity: OptionDeclaration[] = [
  {
    name: "toolchain-name",
    kind: "string",
    value: "NAME",
    default: "default",
    check: checkToolchainName,
    prose: "the toolchain that machines are bootstrapped for",
  },
  {
    name: "toolchain-num",
    kind: "integer",
    value: "N",
    default: 1,
    minimum: 1,
    maximum: 99,
    prose: "number of the toolchain, part of the port offset",
  },
  {
    name: "toolchain-lock",
    kind: "string",
    value: "PATH",
    check: (text) =>
      text === "" || text.startsWith("/") ? undefined : "expected an absolute path, or nothing for no lock",
    prose: "toolchain lock file, by default /var/lock/croft-agent-TOOLCHAIN.lock; empty: no locking",
  },
  {
    name: "toolchain-ver",
    kind: "string",
    value: "VERSION",
    default: packageVersion,
    prose: "toolchain version reported to controllers",
  },
  {
    name: "toolchain-id",
    kind: "string",
    value: "ID",
    default: "",
    prose: "a change of it bootstraps all machines again; empty: never compared",
  },
  {
    name: "instance",
    kind: "integer",
    value: "N",
    default: 1,
    minimum: 1,
    maximum: 99,
    prose: "number of this agent among those of the host",
  },
  {
    name: "instance-max",
    kind: "integer",
    value: "N",
    default: 0,
    maximum: 99,
    prose: "how many instances may be busy on this host; 0: any number, and priorities interrupt nothing",
  },
];

const places: OptionDeclaration[] = [
  {
    name: "machines",
    kind: "string",
    value: "DIR",
    default: "/build/machines",
    prose: "volumes with build machines",
  },
  {
    name: "storage",
    kind: "choice",
    choices: ["auto", "btrfs", "directory"],
    value: "KIND",
    default: "auto",
    prose: "how snapshots are made",
  },
  {
    name: "tftp",
    kind: "string",
    value: "DIR",
    default: "/build/tftp",
    prose: "what machines exchange files through",
  },
  {
    name: "tftp-port",
    kind: "integer",
    value: "PORT",
    default: 23400,
    minimum: 1024,
    maximum: 55000,
    prose: "base of the TFTP ports; the offset is added",
  },
  {
    name: "spool",
    kind: "string",
    value: "DIR",
    default: "/var/lib/croft/spool",
    prose: "results that their controller has not accepted yet",
  },
  {
    name: "runtime",
    kind: "string",
    value: "DIR",
    prose: "sockets, pid files and consoles, by default /run/croft, or croft in the user's runtime directory",
  },
];

const machines: OptionDeclaration[] = [
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
    prose: "accelerator of QEMU",
  },
  { name: "qemu", kind: "string", value: "PATH", prose: "QEMU program, by default qemu-system-ARCHITECTURE" },
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
    prose: "memory of a machine",
  },
  {
    name: "upload-max",
    kind: "integer",
    value: "BYTES",
    default: 2 ** 30,
    minimum: 1024,
    prose: "most that a machine may upload in one boot",
  },
];

const trust: OptionDeclaration[] = [
  {
    name: "auth-key",
    kind: "string",
    value: "FILE",
    prose: "RSA private key (PEM) that answers the controllers' challenges",
  },
  {
    name: "openssl",
    kind: "string",
    value: "PATH",
    prose: "sign with this program instead of in process, for keys in a token",
  },
  {
    name: "openssl-option",
    kind: "string",
    value: "OPTION",
    repeat: true,
    prose: "further argument of the program given with --openssl",
  },
  {
    name: "trust",
    kind: "string",
    value: "FINGERPRINT",
    repeat: true,
    check: (text) =>
      /^(yes|no|[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31})$/.test(text)
        ? undefined
        : "expected yes, no or a SHA-256 fingerprint AA:BB:…",
    prose: "replaces the trust values of every task",
  },
];

const limits: OptionDeclaration[] = [
  seconds("build-timeout", 5400, "time for a task, from its first sign of life"),
  seconds("interactive-timeout", 10800, "time for an interactive task, from its first sign of life"),
  seconds("bootstrap-timeout", 3600, "time for a bootstrap, from its first sign of life"),
  {
    ...seconds(
      "startup-timeout",
      0,
      "time for a machine's first sign of life, by default 300 (bootstrap) and 120 (build)",
    ),
    minimum: 0,
  },
  {
    name: "bootstrap-retries",
    kind: "integer",
    value: "N",
    default: 2,
    maximum: 100,
    prose: "mis-boots of a bootstrap that are tried again",
  },
  {
    name: "build-retries",
    kind: "integer",
    value: "N",
    default: 2,
    maximum: 100,
    prose: "mis-boots of a task that are tried again",
  },
  seconds("poll-interval", 60, "longest sleep before controllers without a task are asked again"),
  seconds("connect-timeout", 60, "time to connect to a controller"),
  seconds("request-timeout", 300, "time for a request to a controller, retries included"),
  {
    name: "request-retries",
    kind: "integer",
    value: "N",
    default: 4,
    maximum: 100,
    prose: "retries of a request after connection errors and answers 5xx and 429",
  },
];

const operation: OptionDeclaration[] = [
  {
    name: "interactive",
    kind: "choice",
    choices: ["false", "true", "both"],
    value: "MODE",
    default: "false",
    prose: "which tasks to accept: those without, with, or with and without a person",
  },
  {
    name: "no-suspend",
    kind: "flag",
    prose:
      "power a machine that misbehaved off and keep its console, instead of suspending it for the operator",
  },
  {
    name: "status-listen",
    kind: "string",
    value: "ADDRESS:PORT",
    check: (text) =>
      parseListenAddress(text) === undefined
        ? "expected ADDRESS:PORT, for instance 127.0.0.1:9400 or [::1]:9400"
        : undefined,
    prose: "serve /healthz, /status and /metrics here, by default nowhere",
  },
];

const modes: OptionDeclaration[] = (
  [
    { name: "dump-machines", kind: "flag", prose: "print the machines' manifests and exit" },
    { name: "dump-task", kind: "flag", prose: "print the first task received and exit" },
    {
      name: "dump-result",
      kind: "flag",
      prose: "print the first task's result instead of sending it and exit",
    },
    { name: "fake-bootstrap", kind: "flag", prose: "bootstrap machines without starting them" },
    { name: "fake-build", kind: "flag", prose: "answer every task with status abort at once" },
    {
      name: "fake-machine",
      kind: "string",
      value: "FILE",
      prose: "offer this machine (a header manifest), and wait for results in its TFTP directory",
    },
    {
      name: "fake-request",
      kind: "string",
      value: "FILE",
      prose: "perform this task (a task manifest), print the result and exit",
    },
  ] as OptionDeclaration[]
).map((option) => ({ ...option, commandLineOnly: true }));

/** Every option of `croft agent`, in the order of the help. */
export const agentOptions: readonly OptionDeclaration[] = [
  ...running,
  ...identity,
  ...places,
  ...machines,
  ...trust,
  ...limits,
  ...operation,
  ...modes,
];

/** Parses `ADDRESS:PORT`, an IPv6 address in brackets; undefined if it is none. */
export function parseListenAddress(text: string): { address: string; port: number } | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = bracketed ?? plain;
  const port = Number(digits);
  return address !== undefined && port <= 65535 ? { address, port } : undefined;
}
