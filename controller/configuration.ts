/** The controller's configuration: a YAML file, then the command line over it. */
import { resolve } from "node:path";
import Type, { type Static } from "typebox";
import { checkedConfiguration } from "../os/command-line/checked-configuration.ts";
import { UsageFailure, reasonOf } from "../os/failure.ts";
import { parseListenAddress } from "../os/network/listen-address.ts";
import { withoutUndefined } from "../os/without-undefined.ts";
import { resultRequestMaxBytes } from "../manifests/limits.ts";
import { roles, type Person, type Role } from "./authentication/tokens.ts";
import type { RetentionRules } from "./retention/rules.ts";
import { auxiliaryNamePattern } from "./builds/auxiliary.ts";
import { defaultData } from "./files/control-path.ts";
import type { StoragePlace } from "./files/storage.ts";
import type { TlsFiles } from "./tls.ts";
import { specificationFor, type Target } from "./builds/specification.ts";
import { checkSpecification } from "./builds/tasks.ts";
import { notificationSchema, readNotifications, type Notification } from "./messages/notifications.ts";
import { readSmtp, smtpSchema, type Smtp } from "./messages/smtp.ts";
import { oneOf } from "./one-of.ts";
import { readRepositories, repositorySchema, type Repository } from "./forges/repositories.ts";

const closed = { additionalProperties: false } as const;
/** Of tokens and targets. */
export const name = Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9_+.@-]{0,99}$" });
const pattern = Type.String({ pattern: "^[A-Za-z0-9_+.*?-]{1,100}$" });
const seconds = (minimum: number) => Type.Integer({ minimum, maximum: 86_400 });
const size = Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: "^[0-9]{1,12}[KMG]?$" })]);

/** An enumeration, because its error names them. */
const role = Type.Unsafe<Role>({ type: "string", enum: roles });

const keptFor = Type.Integer({ minimum: 1, maximum: 36_500 });
const count = Type.Integer({ minimum: 0, maximum: 1_000_000 });

/** Pattern of a machine by what the build calls it. */
const auxiliaryPatterns = Type.Record(Type.String({ pattern: auxiliaryNamePattern }), pattern);

const target = Type.Object(
  {
    name,
    machine: Type.Optional(pattern),
    toolchain: Type.Optional(pattern),
    target: Type.Optional(Type.String({ pattern: "^[A-Za-z0-9_.]+(-[A-Za-z0-9_.]+)+$" })),
    auxiliary: Type.Optional(auxiliaryPatterns),
    environment: Type.Optional(Type.String({ minLength: 1 })),
    config: Type.Optional(Type.String()),
    warnings: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
    timeout: Type.Optional(seconds(1)),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
  },
  closed,
);

/** As in the configuration. */
export const retentionRules = Type.Object(
  {
    days: Type.Optional(keptFor),
    builds: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
    "live-log-days": Type.Optional(keptFor),
  },
  closed,
);

const s3 = Type.Object(
  {
    endpoint: Type.Optional(Type.String({ pattern: "^https?://[^\\s/]+/?$" })),
    region: Type.Optional(Type.String({ pattern: "^[A-Za-z0-9-]{1,60}$" })),
    "access-key": Type.Optional(Type.String({ minLength: 1 })),
    "secret-key": Type.Optional(Type.String({ minLength: 1 })),
  },
  closed,
);

const schema = Type.Object(
  {
    listen: Type.Optional(Type.String()),
    tls: Type.Optional(
      Type.Object({ cert: Type.String({ minLength: 1 }), key: Type.String({ minLength: 1 }) }, closed),
    ),
    "public-url": Type.Optional(Type.String({ pattern: "^https?://[^\\s]+$" })),
    data: Type.Optional(Type.String({ minLength: 1 })),
    database: Type.Optional(Type.String({ pattern: "^(embedded|postgres(ql)?://.+)$" })),
    storage: Type.Optional(
      Type.String({ pattern: "^(directory|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_.-]+)*/?)$" }),
    ),
    s3: Type.Optional(s3),
    drain: Type.Optional(Type.Integer({ minimum: 0, maximum: 600 })),
    agents: Type.Optional(Type.Object({ keys: Type.Optional(Type.String({ minLength: 1 })) }, closed)),
    tokens: Type.Optional(
      Type.Array(
        Type.Object(
          { name, sha256: Type.String({ pattern: "^[0-9a-f]{64}$" }), role: Type.Optional(role) },
          closed,
        ),
      ),
    ),
    private: Type.Optional(Type.Boolean()),
    "secrets-key": Type.Optional(Type.String({ minLength: 1 })),
    targets: Type.Optional(Type.Array(target, { minItems: 1 })),
    repositories: Type.Optional(Type.Array(repositorySchema)),
    notifications: Type.Optional(Type.Array(notificationSchema)),
    smtp: Type.Optional(smtpSchema),
    "git-protocols": Type.Optional(
      Type.Array(oneOf("https", "ssh", "http", "git", "file"), { minItems: 1, uniqueItems: true }),
    ),
    retries: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
    "interactive-timeout": Type.Optional(seconds(1)),
    "lease-margin": Type.Optional(seconds(1)),
    "log-limit": Type.Optional(size),
    "result-limit": Type.Optional(size),
    "upload-limit": Type.Optional(size),
    followers: Type.Optional(count),
    "followers-per-address": Type.Optional(count),
    "trusted-proxies": Type.Optional(
      // Addresses and networks, as proxy-addr takes them
      Type.Array(Type.String({ pattern: "^(loopback|[0-9.]+(/[0-9]{1,2})?|[0-9a-fA-F.:]+(/[0-9]{1,3})?)$" })),
    ),
    retention: Type.Optional(retentionRules),
    "min-free": Type.Optional(size),
    "upload-types": Type.Optional(Type.Array(Type.String({ pattern: "^[a-z][a-z0-9-]{0,39}$" }))),
  },
  closed,
);

/** The configuration in effect. */
export interface ControllerConfiguration {
  listen: { host: string; port: number };
  /** The file of the key that secrets are encrypted with, if it is named; see secrets/key.ts. */
  secretsKey?: string;
  /** Without a slash at the end; where agents and people reach this controller. Default: where it listens. */
  publicUrl?: string;
  /** Of its own; without it a proxy's, or none. */
  tls?: TlsFiles;
  data: string;
  /** `embedded` or a `postgres://` URL. */
  database: string;
  /** Where logs and artifacts of results are. */
  storage: StoragePlace;
  /** For how long it says that it will end, so that balancers look elsewhere, before it does. */
  drainSeconds: number;
  /** Directory of PEM public keys; without it any agent is served. */
  agentKeys?: string;
  tokens: readonly Person[];
  private: boolean;
  targets: readonly Target[];
  /** What forges may have built by their hooks. */
  repositories: readonly Repository[];
  /** Who is told of builds. */
  notifications: readonly Notification[];
  /** Where mail goes. */
  smtp?: Smtp;
  /** By which the controller fetches the `.croft.yaml` of repositories. */
  gitProtocols: readonly string[];
  /** How often a build that ended with `abort` is tried again. */
  retries: number;
  /** How long a machine is there for a person; of other builds their target says it. */
  interactiveTimeoutSeconds: number;
  leaseMarginSeconds: number;
  logLimitBytes: number;
  resultLimitBytes: number;
  uploadLimitBytes: number;
  uploadTypes: readonly string[];
  /** How many may follow builds at a time: with open pages, `croft log --follow`, streams of events. */
  mostFollowers: number;
  mostFollowersPerAddress: number;
  /** What is kept of builds that have ended; absent: all of it. */
  retention?: RetentionRules;
  /** With less than that free in the data directory nothing new is taken; 0: whatever is free. */
  minFreeBytes: number;
  /** Whose `X-Forwarded-For` counts. */
  trustedProxies: readonly string[];
}

/** What the command line says; it wins over the file. */
export interface CommandLine {
  config?: string;
  listen?: string;
  data?: string;
  "public-url"?: string;
}

/**
 * Reads and completes the configuration.
 *
 * @throws {UsageFailure} naming file, line, column and key, or the option.
 */
export function readControllerConfiguration(given: CommandLine): ControllerConfiguration {
  const read = given.config ? checkedConfiguration(given.config, schema) : undefined;
  const file: Static<typeof schema> = read?.value ?? {};
  const publicUrl = given["public-url"] ?? file["public-url"];
  if (publicUrl !== undefined && !/^https?:$/.test(URL.parse(publicUrl)?.protocol ?? ""))
    throw new UsageFailure("use public URL", `'${publicUrl}' is no http or https URL`);
  const keys = file.agents?.keys;
  if (file.private) checkPrivate(given.config, file);
  const targets = targetsOf(file.targets ?? [{ name: "default" }]);
  const secretsKey = file["secrets-key"];
  return {
    listen: parseListen(given.listen ?? file.listen ?? "127.0.0.1:8420"),
    ...withoutUndefined({ publicUrl: publicUrl?.replace(/\/+$/, "") }),
    ...(file.tls && { tls: { cert: resolve(file.tls.cert), key: resolve(file.tls.key) } }),
    data: resolve(given.data ?? file.data ?? defaultData),
    database: file.database ?? "embedded",
    ...(keys === undefined ? {} : { agentKeys: resolve(keys) }),
    ...(secretsKey === undefined ? {} : { secretsKey: resolve(secretsKey) }),
    tokens: (file.tokens ?? []).map((token) => ({ role: "submit", ...token })),
    private: file.private ?? false,
    targets,
    storage: storageOf(file),
    drainSeconds: file.drain ?? 0,
    repositories: read
      ? readRepositories(file.repositories ?? [], targets, namesOf(file.notifications), read.failure)
      : [],
    ...toldBy(file, read?.failure),
    gitProtocols: file["git-protocols"] ?? ["https", "ssh"],
    retries: file.retries ?? 2,
    interactiveTimeoutSeconds: file["interactive-timeout"] ?? 10_800,
    leaseMarginSeconds: file["lease-margin"] ?? 600,
    logLimitBytes: bytesOf(file["log-limit"] ?? "64M"),
    resultLimitBytes:
      file["result-limit"] === undefined ? resultRequestMaxBytes : bytesOf(file["result-limit"]),
    uploadLimitBytes: bytesOf(file["upload-limit"] ?? "1G"),
    uploadTypes: file["upload-types"] ?? ["artifact", "package", "report"],
    mostFollowers: file.followers ?? 2000,
    mostFollowersPerAddress: file["followers-per-address"] ?? 200,
    ...(file.retention && { retention: retentionOf(file.retention) }),
    minFreeBytes: bytesOf(file["min-free"] ?? 0),
    trustedProxies: file["trusted-proxies"] ?? [],
  };
}

function namesOf(notifications: Static<typeof schema>["notifications"] = []): string[] {
  return notifications.map(({ name }) => name);
}

/** Who is told of builds, and by which server. */
function toldBy(
  { notifications = [], repositories = [], smtp }: Static<typeof schema>,
  fail: Parameters<typeof readNotifications>[3] = (_, reason) => new UsageFailure("use it", reason),
): Pick<ControllerConfiguration, "notifications" | "smtp"> {
  const used = new Set(repositories.flatMap((one) => one.notifications ?? []));
  return {
    notifications: readNotifications(notifications, smtp !== undefined, used, fail),
    ...(smtp && { smtp: readSmtp(smtp, fail) }),
  };
}

/** Private means from people and agents: a controller that would give its builds to any agent is not. */
function checkPrivate(path: string | undefined, { agents }: Static<typeof schema>): void {
  if (agents?.keys !== undefined) return;
  throw new UsageFailure(
    `use configuration '${path}'`,
    "private: any agent would be given its builds, as there are no agent keys",
    {
      hints: [
        "Set agents.keys to a directory with the public key of each agent (openssl rsa -in agent.key -pubout -out agent.pem), and start agents with --auth-key; or leave out private.",
      ],
    },
  );
}

/** @throws {UsageFailure} if one of two keys is there. */
function storageOf({ storage = "directory", s3 = {} }: Static<typeof schema>): StoragePlace {
  if (storage === "directory") return storage;
  const { endpoint, region, "access-key": accessKey, "secret-key": secretKey } = s3;
  if ((accessKey === undefined) !== (secretKey === undefined))
    throw new UsageFailure("use the configuration's 's3'", "access-key and secret-key go together");
  const [bucket = "", ...path] = storage.slice("s3://".length).replace(/\/$/, "").split("/");
  const prefix = path.map((part) => `${part}/`).join("");
  return { bucket, prefix, ...withoutUndefined({ endpoint, region, accessKey, secretKey }) };
}

/** The rules that a configuration has. */
export function retentionOf(configured: Static<typeof retentionRules>): RetentionRules {
  const { days, builds, "live-log-days": liveLogDays } = configured;
  return withoutUndefined({ days, builds, liveLogDays });
}

/** @throws {UsageFailure} for what is no `ADDRESS:PORT`. */
export function parseListen(text: string): { host: string; port: number } {
  const parsed = parseListenAddress(text);
  if (parsed) return { host: parsed.address, port: parsed.port };
  throw new UsageFailure(`listen on '${text}'`, "expected ADDRESS:PORT, such as 127.0.0.1:8420");
}

function targetsOf(declared: readonly Static<typeof target>[]): Target[] {
  const names = new Set<string>();
  return declared.map((one) => {
    if (names.has(one.name)) throw new UsageFailure(`use target '${one.name}'`, "it is configured twice");
    names.add(one.name);
    const target: Target = {
      name: one.name,
      machine: one.machine ?? "*",
      toolchain: one.toolchain ?? "*",
      triplet: one.target ?? hostTriplet(),
      ...withoutUndefined({ auxiliary: one.auxiliary }),
      ...withoutUndefined({ environment: one.environment, configuration: one.config, limit: one.limit }),
      warnings: one.warnings ?? [],
      timeoutSeconds: one.timeout ?? 5400,
    };
    checkTarget(target);
    return target;
  });
}

/** What is wrong with a target must come out when the controller starts, not when an agent asks. */
function checkTarget(target: Target): void {
  const any = { name: "any", version: "0", repository: "https://any/", targets: [], priority: 0 };
  try {
    checkSpecification(specificationFor(any, target));
  } catch (error) {
    throw new UsageFailure(`use target '${target.name}'`, reasonOf((error as Error).cause), { cause: error });
  }
}

function hostTriplet(): string {
  const architectures: Record<string, string> = {
    x64: "x86_64",
    arm64: "aarch64",
    ia32: "i686",
    ppc64: "ppc64le",
  };
  return `${architectures[process.arch] ?? process.arch}-linux-gnu`;
}

function bytesOf(value: number | string): number {
  if (typeof value === "number") return value;
  const unit = { K: 1024, M: 1024 ** 2, G: 1024 ** 3 }[value.at(-1)!] ?? 1;
  return Number.parseInt(value, 10) * unit;
}
