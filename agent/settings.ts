import { join, resolve } from "node:path";
import { readConfiguration } from "../host/configuration.ts";
import { Failure, UsageFailure } from "../host/failure.ts";
import { readOptionValue, withDefaults, type OptionValues } from "../host/options.ts";
import { agentOptions, parseListenAddress } from "./options.ts";

/** A controller to poll. */
export interface ControllerSetting {
  url: string;
  /** `[F]DCBA` (agent.md), 0 to 19999. */
  priority: number;
}

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
  /** Of the machines; `bridge` names the host's interface. */
  network: { kind: "user" } | { kind: "bridge"; bridge: string };
  accel: "auto" | "kvm" | "tcg";
  qemu: string | undefined;
  cpus: number;
  ramKiB: number;
  uploadMaxBytes: number;
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

/** `T-I`, the name of this instance in directories and locks. */
export function instanceName(settings: Settings): string {
  return `${settings.toolchain.name}-${settings.instance}`;
}

/**
 * Puts the command line's values, the configuration file's and the defaults together.
 *
 * @throws {UsageFailure} for a bad value, a bad controller, or a combination that makes no sense.
 */
export function makeSettings(
  given: OptionValues,
  controllerArguments: readonly string[],
  configurationFile?: string,
): Settings {
  const file = configurationFile === undefined ? undefined : readAgentConfiguration(configurationFile);
  const values = withDefaults({ ...file?.values, ...given }, agentOptions);
  const controllers = (controllerArguments.length > 0 ? controllerArguments : (file?.controllers ?? [])).map(
    parseController,
  );
  const settings = typed(values, controllers);
  const modes = agentOptions.filter(
    (option) => option.name.startsWith("dump-") && values[option.name] === true,
  );
  if (modes.length > 1)
    throw new UsageFailure(
      "start the agent",
      `--${modes[0]!.name} and --${modes[1]!.name} exclude each other`,
    );
  if (controllers.length === 0 && settings.dump !== "machines" && settings.fakeRequest === undefined)
    throw new UsageFailure("start the agent", "no controller URL", {
      hints: ["Give at least one: croft agent [OPTIONS] [PRIORITY=]URL…", "See: croft agent --help"],
    });
  return settings;
}

/**
 * Parses `[<priority>=]<url>`; the part before `=` is a priority only if it is all digits, since URLs contain `=`.
 *
 * @throws {UsageFailure} for a priority that is not four or five digits up to 19999, or a bad URL.
 */
export function parseController(text: string): ControllerSetting {
  const [, prefix, rest] = /^(\d*)=(.*)$/s.exec(text) ?? [undefined, undefined, text];
  const fail = (reason: string) => new UsageFailure(`use controller '${text}'`, reason);
  if (prefix !== undefined && (!/^\d{4,5}$/.test(prefix) || Number(prefix) > 19999))
    throw fail("its priority must be four or five digits, at most 19999");
  const url = URL.parse(rest!);
  if (!url || !["http:", "https:"].includes(url.protocol)) throw fail("expected an http or https URL");
  return { url: rest!, priority: Number(prefix ?? 0) };
}

function readAgentConfiguration(path: string): { values: OptionValues; controllers: string[] } {
  const configuration = readConfiguration(path);
  const fail = (key: string, reason: string) =>
    new UsageFailure(
      `use configuration '${path}'`,
      `${configuration.locate(key ? [key] : [])}: ${key ? `${key}: ` : ""}${reason}`,
    );
  const content = configuration.value;
  if (typeof content !== "object" || content === null || Array.isArray(content))
    throw fail("", "expected keys and values");
  const values: OptionValues = {};
  let controllers: string[] = [];
  for (const [key, value] of Object.entries(content)) {
    if (key === "controllers") {
      if (!Array.isArray(value) || value.some((item) => typeof item !== "string"))
        throw fail(key, "expected a list of [PRIORITY=]URL");
      controllers = value as string[];
      continue;
    }
    const option = agentOptions.find(({ name, commandLineOnly }) => name === key && !commandLineOnly);
    if (!option) throw fail(key, "unknown key");
    if (option.repeat !== Array.isArray(value) && option.repeat) throw fail(key, "expected a list");
    const read = (Array.isArray(value) && option.repeat ? value : [value]).map((item) =>
      readOptionValue(option, item),
    );
    for (const item of read) if ("error" in item) throw fail(key, item.error);
    const plain = read.map((item) => (item as { value: string }).value);
    values[key] = option.repeat ? plain : plain[0];
  }
  return { values, controllers };
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
    toolchain: {
      name,
      number: number("toolchain-num"),
      version: text("toolchain-ver"),
      id: text("toolchain-id"),
    },
    toolchainLock: maybe("toolchain-lock") ?? (fake ? "" : `/var/lock/croft-agent-${name}.lock`),
    instance: number("instance"),
    instanceMax: number("instance-max"),
    offset,
    interactive: text("interactive") as Settings["interactive"],
    machines: resolve(text("machines")),
    storage: text("storage") as Settings["storage"],
    tftp: resolve(text("tftp")),
    tftpPort: number("tftp-port") + offset,
    spool: resolve(text("spool")),
    runtime: resolve(maybe("runtime") ?? defaultRuntime(), `${name}-${number("instance")}`),
    network: text("network") === "bridge" ? { kind: "bridge", bridge: text("bridge") } : { kind: "user" },
    accel: text("accel") as Settings["accel"],
    qemu: maybe("qemu"),
    cpus: number("cpu"),
    ramKiB: number("ram"),
    uploadMaxBytes: number("upload-max"),
    authKey: maybe("auth-key"),
    openssl:
      openssl === undefined ? undefined : { program: openssl, options: values["openssl-option"] as string[] },
    trust: values["trust"] as string[],
    ...limits(number),
    suspend: !flag("no-suspend"),
    statusListen: parseListenAddress(maybe("status-listen") ?? ""),
    dump: flag("dump-machines")
      ? "machines"
      : flag("dump-task")
        ? "task"
        : flag("dump-result")
          ? "result"
          : undefined,
    fakeBootstrap: flag("fake-bootstrap"),
    fakeBuild: flag("fake-build"),
    fakeMachine: maybe("fake-machine"),
    fakeRequest: maybe("fake-request"),
    controllers,
  };
}

/** Times and retries. */
function limits(number: (name: string) => number) {
  const startup = number("startup-timeout");
  return {
    buildTimeoutSeconds: number("build-timeout"),
    interactiveTimeoutSeconds: number("interactive-timeout"),
    bootstrapTimeoutSeconds: number("bootstrap-timeout"),
    startupTimeoutSeconds: { bootstrap: startup || 300, build: startup || 120 },
    bootstrapRetries: number("bootstrap-retries"),
    buildRetries: number("build-retries"),
    pollIntervalSeconds: number("poll-interval"),
    connectTimeoutSeconds: number("connect-timeout"),
    requestTimeoutSeconds: number("request-timeout"),
    requestRetries: number("request-retries"),
  };
}

function defaultRuntime(): string {
  if (process.getuid?.() === 0) return "/run/croft";
  const directory = process.env["XDG_RUNTIME_DIR"];
  if (!directory)
    throw new Failure("start the agent", "there is no runtime directory (XDG_RUNTIME_DIR is not set)", {
      hints: ["Give one with --runtime DIR"],
    });
  return join(directory, "croft");
}
