/** The key `repositories` of the controller's configuration: what a forge may have built by its hook. */
import Type, { type Static } from "typebox";
import { isLocalUrl } from "../../manifests/repository.ts";
import { Failure, reasonOf, type FailureOptions } from "../../os/failure.ts";
import { secretsOf } from "../../os/text/credentials.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { matchesPattern } from "../builds/name-pattern.ts";
import { specificationFor, type Target } from "../builds/specification.ts";
import { checkSpecification } from "../builds/tasks.ts";
import { readSecretFile } from "../secrets/secret-file.ts";
import type { Forge } from "./forge.ts";
import { gitea, github } from "./github.ts";
import { gitlab } from "./gitlab.ts";
import { oneOf } from "../one-of.ts";

const forges = { github, gitlab, gitea, forgejo: gitea } satisfies Record<string, Forge>;
type ForgeName = keyof typeof forges;

const path = Type.String({ minLength: 1 });
/** Of branches and tags. */
const patterns = Type.Array(Type.String({ pattern: "^[^\\s~^:\\\\]{1,200}$" }));

/** One of them. */
export const repositorySchema = Type.Object(
  {
    name: Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9_+.-]{0,99}$" }),
    url: Type.String({ pattern: "^[!-~]{1,2000}$" }),
    forge: oneOf(...(Object.keys(forges) as ForgeName[])),
    "secret-file": path,
    "token-file": Type.Optional(path),
    api: Type.Optional(Type.String({ pattern: "^https?://[^\\s?#@]+$" })),
    branches: Type.Optional(patterns),
    tags: Type.Optional(patterns),
    "pull-requests": Type.Optional(oneOf("none", "own", "all")),
    targets: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 100 }), { minItems: 1 })),
    environment: Type.Optional(Type.String({ minLength: 1 })),
    config: Type.Optional(Type.String()),
    secrets: Type.Optional(Type.Array(Type.String({ pattern: "^[A-Za-z_][A-Za-z0-9_]{0,99}$" }))),
    auxiliary: Type.Optional(Type.Array(Type.String({ pattern: "^[A-Za-z0-9_+.*?-]{1,100}$" }))),
    notifications: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { uniqueItems: true })),
    priority: Type.Optional(Type.Integer({ minimum: -10_000, maximum: 10_000 })),
    "source-file": Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

/** A repository that is built for its forge's hooks. */
export interface Repository {
  /** Of its hook, its package and its badge. */
  readonly name: string;
  readonly url: string;
  readonly forge: Forge;
  /** What the forge proves by that it is the one. */
  readonly secret: string;
  /** Where the forge is told what becomes of commits, if it is. */
  readonly statuses?: { api: string; token: string };
  /** Patterns of what is built, and trusted; undefined: the repository's usual branch, which is not. */
  readonly branches?: readonly string[];
  readonly tags: readonly string[];
  /** `own`: those from branches of the repository itself; `all`: others too, when somebody has approved them. */
  readonly pullRequests: "none" | "own" | "all";
  /** Patterns. */
  readonly targets: readonly string[];
  readonly environment?: string;
  readonly configuration?: string;
  /** Names of those that builds of what is trusted have. */
  readonly secrets: readonly string[];
  /** Names and patterns of auxiliary machines that its file may ask for. */
  readonly auxiliary: readonly string[];
  /** Names of those that are told of its builds. */
  readonly notifications: readonly string[];
  readonly priority: number;
  /** Whether its `.croft.yaml` says what is built. */
  readonly readsFile: boolean;
}

type Fail = (path: readonly (string | number)[], reason: string, options?: FailureOptions) => Failure;

/**
 * Completes what the configuration says of repositories, with the secrets in the files that it names.
 *
 * @throws {Failure} as `fail` makes it, with the place.
 */
export function readRepositories(
  declared: readonly Static<typeof repositorySchema>[],
  targets: readonly Target[],
  notifications: readonly string[],
  fail: Fail,
): Repository[] {
  const names = new Set<string>();
  return declared.map((one, index) => {
    const failAt = (key: string, reason: string, options?: FailureOptions) =>
      fail(["repositories", index, key], reason, options);
    if (names.has(one.name)) throw failAt("name", `there are two called '${one.name}'`);
    names.add(one.name);
    checkUrl(one.url, failAt);
    checkTargets(one, targets, failAt);
    const unknown = one.notifications?.find((name) => !notifications.includes(name));
    if (unknown !== undefined) throw failAt("notifications", `there is no notification '${unknown}'`);
    return {
      name: one.name,
      url: one.url,
      forge: forges[one.forge],
      secret: readSecret("secret-file", one["secret-file"], failAt),
      ...withoutUndefined({ statuses: statusesOf(one, failAt), branches: one.branches }),
      tags: one.tags ?? [],
      pullRequests: one["pull-requests"] ?? "all",
      targets: one.targets ?? ["*"],
      ...withoutUndefined({ environment: one.environment, configuration: one.config }),
      secrets: one.secrets ?? [],
      auxiliary: one.auxiliary ?? [],
      notifications: one.notifications ?? [],
      priority: one.priority ?? 0,
      readsFile: one["source-file"] ?? true,
    };
  });
}

type FailAt = (key: string, reason: string, options?: FailureOptions) => Failure;

function checkUrl(url: string, fail: FailAt): void {
  if (isLocalUrl(url)) throw fail("url", "it is local; agents build from a URL only");
  if (url.includes("#")) throw fail("url", "the hook says which commit is built: leave out what follows '#'");
  if (secretsOf(url).length > 0)
    throw fail("url", "credentials stand in it, which everybody could read who sees the builds", {
      hints: ["Keep them where nobody reads them: croft credential set URL."],
    });
}

/** What makes no task is to come out now, and not when somebody pushes. */
function checkTargets(
  { name, url, targets: patterns = ["*"], environment, config }: Static<typeof repositorySchema>,
  targets: readonly Target[],
  fail: FailAt,
): void {
  const unmatched = patterns.find((one) => !targets.some((target) => matchesPattern(one, target.name)));
  if (unmatched !== undefined)
    throw fail("targets", `there is no target '${unmatched}'`, {
      hints: [`Targets: ${targets.map((target) => target.name).join(", ")}`],
    });
  const submission = { name, version: "0", repository: url, targets: [], priority: 0 };
  const more = withoutUndefined({ environment, configuration: config });
  for (const target of targets)
    try {
      checkSpecification(specificationFor({ ...submission, ...more }, target));
    } catch (error) {
      throw fail("name", reasonOf((error as Error).cause), { cause: error });
    }
}

/** The interface of the host that the repository is at, unless another one is told. */
function statusesOf(
  { forge, url, api, "token-file": file }: Static<typeof repositorySchema>,
  fail: FailAt,
): Repository["statuses"] {
  if (file === undefined) {
    if (api !== undefined) throw fail("api", "without token-file nothing is sent there");
    return undefined;
  }
  const token = readSecret("token-file", file, fail);
  if (!/^[!-~]+$/.test(token))
    throw fail("token-file", "there are characters in it that no token has, such as blanks");
  if (api !== undefined) return { api: api.replace(/\/+$/, ""), token };
  const http = URL.parse(url);
  if (http && /^https?:$/.test(http.protocol))
    return { api: forges[forge].statuses.baseOf(http.origin), token };
  const host = /^(?:[a-z0-9+.-]+:\/\/)?(?:[^@/]*@)?([^:/]+)/i.exec(url)![1]!;
  return { api: forges[forge].statuses.baseOf(`https://${host}`), token };
}

function readSecret(key: string, file: string, fail: FailAt): string {
  return readSecretFile(file, (reason, options) => fail(key, reason, options));
}

/** Whether a forge's full name of a repository, such as `acme/hello`, is the one that a URL leads to. */
export function leadsTo(url: string, fullName: string): boolean {
  const place = /^[a-z0-9+.-]+:\/\/[^/]*\/(.*)$/i.exec(url)?.[1] ?? /^[^/:]*:(.*)$/.exec(url)?.[1] ?? "";
  const path = `/${place.replace(/\/+$/, "").replace(/\.git$/, "")}`.toLowerCase();
  return path.endsWith(`/${fullName.replace(/^\/+/, "").toLowerCase()}`);
}
