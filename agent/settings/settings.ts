import { join } from "node:path";
import { UsageFailure } from "../../os/failure.ts";
import { parseListenAddress } from "../../os/network/listen-address.ts";
import type { OptionValues } from "../../os/command-line/options.ts";
import type { NetworkChoice } from "../../machines/network/host-network.ts";
import { placesMaximum } from "../../machines/qemu/places.ts";
import { defaultRuntime } from "../../machines/runtime-directory.ts";
import { parseCache, type CacheSetting } from "./cache-setting.ts";
import { parseController, type ControllerSetting } from "./controller-setting.ts";
import type { EffectiveConfiguration } from "./effective-configuration.ts";

export type { ControllerSetting } from "./controller-setting.ts";

/** What the agent runs with: options, typed, with everything that follows from them. */
export interface Settings {
  verbosity: number;
  systemd: boolean;
  logFormat: "terminal" | "systemd" | "json";
  toolchain: { name: string; number: number; version: string; id: string };
  /** Path of the toolchain lock; empty for no locking. */
  toolchainLock: string;
  instance: number;
  /** How many instances may be busy on this host; 0: any number, without priority monitoring. */
  instanceMax: number;
  /** How many builds at a time a machine may serve; `auto`: as many as there are instances. */
  machineCopies: number | "auto";
  /** `(toolchain number - 1) x 100 + instance`: tells what instances of a host share apart (ports, interfaces). */
  offset: number;
  interactive: "false" | "true" | "both";
  machines: string;
  storage: "auto" | "btrfs" | "directory";
  tftp: string;
  tftpPort: number;
  spool: string;
  /** The instance's own: sockets, pid file, console. */
  runtime: string;
  /** Of the machines. */
  network: NetworkChoice;
  accel: "auto" | "kvm" | "tcg";
  qemu: string | undefined;
  /** Number of the user that machines run as, if the agent is root; 0: as root. */
  machineUid: number;
  cpus: number;
  ramKiB: number;
  /** Memory for auxiliary machines, in KiB; `auto`: what the host has left. */
  auxiliaryRam: number | "auto";
  /** How long services of auxiliary machines may take to come up. */
  auxiliaryTimeoutSeconds: number;
  /** Whether machines are saved where they wait for a task, and tasks begin there. */
  warm: boolean;
  /** Whether an idle instance may keep the machine that it used last restored. */
  ahead: "auto" | "off";
  uploadMaxBytes: number;
  /** What builds are given clones of. */
  caches: CacheSetting[];
  cacheDirectory: string;
  /** For all of them together. */
  cacheMaxBytes: number;
  authKey: string | undefined;
  /** The external program that signs; undefined: in process. */
  openssl: { program: string; options: string[] } | undefined;
  trust: string[];
  buildTimeoutSeconds: number;
  interactiveTimeoutSeconds: number;
  bootstrapTimeoutSeconds: number;
  startupTimeoutSeconds: { bootstrap: number; build: number };
  bootstrapRetries: number;
  buildRetries: number;
  pollIntervalSeconds: number;
  connectTimeoutSeconds: number;
  requestTimeoutSeconds: number;
  requestRetries: number;
  /** False: machines that misbehaved are powered off, and only their console is kept. */
  suspend: boolean;
  /** Where the status server listens; undefined: nowhere. */
  statusListen: { address: string; port: number } | undefined;
  dump: "machines" | "task" | "result" | undefined;
  fakeBootstrap: boolean;
  fakeBuild: boolean;
  fakeMachine: string | undefined;
  fakeRequest: string | undefined;
  controllers: ControllerSetting[];
}

/** The largest offset: of instance 99 of toolchain 99. */
export const offsetMaximum = 9899;

/** `T-I`, the name of this instance in directories and locks. */
export function instanceName(settings: Pick<Settings, "toolchain" | "instance">): string {
  return `${settings.toolchain.name}-${settings.instance}`;
}

/** @throws {UsageFailure} for a combination of values that makes no sense. */
export function settingsOf(
  { values, controllers }: EffectiveConfiguration,
  { needsControllers = true } = {},
): Settings {
  const settings = typed(values, controllers.map(parseController));
  const fail = (reason: string, hints: string[] = []) =>
    new UsageFailure("start the agent", reason, { hints });
  const [dump, other] = ["dump-machines", "dump-task", "dump-result"].filter((mode) => values[mode]);
  if (other !== undefined) throw fail(`--${dump} and --${other} exclude each other`);
  if (settings.openssl && settings.authKey === undefined)
    throw fail("--openssl needs a key to sign with (--auth-key)");
  if (!settings.openssl && (values["openssl-option"] as string[]).length > 0)
    throw fail("--openssl-option is for the program given with --openssl, and there is none");
  const names = settings.caches.map(({ name }) => name);
  if (names.length > placesMaximum) throw fail(`there are more than ${placesMaximum} caches`);
  if (new Set(names).size < names.length) throw fail("two caches have the same name");
  const idle = values["print-config"] === true || settings.dump === "machines";
  if (needsControllers && controllers.length === 0 && !idle && settings.fakeRequest === undefined)
    throw fail("no controller URL", [
      "Give at least one: croft agent [OPTIONS] [PRIORITY=]URL…",
      "See: croft agent --help",
    ]);
  return settings;
}

function typed(values: OptionValues, controllers: ControllerSetting[]): Settings {
  const text = (name: string) => values[name] as string;
  const maybe = (name: string) => values[name] as string | undefined;
  const number = (name: string) => values[name] as number;
  const flag = (name: string) => values[name] === true;
  const systemd = flag("systemd-daemon");
  const name = text("toolchain-name");
  const fake = ["fake-bootstrap", "fake-build", "fake-machine", "fake-request"].some(
    (mode) => values[mode] !== undefined && values[mode] !== false,
  );
  const offset = (number("toolchain-num") - 1) * 100 + number("instance");
  const openssl = maybe("openssl");
  return {
    verbosity: number("verbose"),
    systemd,
    logFormat: (maybe("log-format") ?? (systemd ? "systemd" : "terminal")) as Settings["logFormat"],
    toolchain: toolchainOf(values),
    toolchainLock: maybe("toolchain-lock") ?? (fake ? "" : `/var/lock/croft-agent-${name}.lock`),
    instance: number("instance"),
    instanceMax: number("instance-max"),
    machineCopies: values["machine-copies"] as number | "auto",
    offset,
    interactive: text("interactive") as Settings["interactive"],
    machines: text("machines"),
    storage: text("storage") as Settings["storage"],
    tftp: text("tftp"),
    tftpPort: number("tftp-port") + offset,
    spool: text("spool"),
    runtime: join(maybe("runtime") ?? defaultRuntime(), `${name}-${number("instance")}`),
    network: text("network") === "bridge" ? { kind: "bridge", bridge: text("bridge") } : { kind: "user" },
    accel: text("accel") as Settings["accel"],
    qemu: maybe("qemu"),
    machineUid: number("machine-uid") === 0 ? 0 : number("machine-uid") + offset,
    cpus: number("cpu"),
    ramKiB: number("ram"),
    auxiliaryRam: values["auxiliary-ram"] as number | "auto",
    warm: !flag("no-warm"),
    ahead: text("ahead") as Settings["ahead"],
    uploadMaxBytes: number("upload-max"),
    caches: (values["caches"] as string[]).map(parseCache),
    cacheDirectory: text("cache-directory"),
    cacheMaxBytes: number("cache-max"),
    authKey: maybe("auth-key"),
    openssl:
      openssl === undefined ? undefined : { program: openssl, options: values["openssl-option"] as string[] },
    trust: values["trust"] as string[],
    ...limits(number),
    suspend: !flag("no-suspend"),
    statusListen: parseListenAddress(maybe("status-listen") ?? ""),
    dump: (["machines", "task", "result"] as const).find((what) => flag(`dump-${what}`)),
    fakeBootstrap: flag("fake-bootstrap"),
    fakeBuild: flag("fake-build"),
    fakeMachine: maybe("fake-machine"),
    fakeRequest: maybe("fake-request"),
    controllers,
  };
}

function toolchainOf(values: OptionValues): Settings["toolchain"] {
  const text = (what: string) => values[`toolchain-${what}`] as string;
  return {
    name: text("name"),
    number: values["toolchain-num"] as number,
    version: text("ver"),
    id: text("id"),
  };
}

/** Times and retries. */
function limits(number: (name: string) => number) {
  const startup = number("startup-timeout") as number | undefined;
  return {
    buildTimeoutSeconds: number("build-timeout"),
    interactiveTimeoutSeconds: number("interactive-timeout"),
    bootstrapTimeoutSeconds: number("bootstrap-timeout"),
    auxiliaryTimeoutSeconds: number("auxiliary-timeout"),
    startupTimeoutSeconds: { bootstrap: startup ?? 300, build: startup ?? 120 },
    bootstrapRetries: number("bootstrap-retries"),
    buildRetries: number("build-retries"),
    pollIntervalSeconds: number("poll-interval"),
    connectTimeoutSeconds: number("connect-timeout"),
    requestTimeoutSeconds: number("request-timeout"),
    requestRetries: number("request-retries"),
  };
}
