/**
 * Secrets of builds and credentials for repositories, encrypted in the database. Nobody is ever shown one again: they are
 * listed by name, and leave only towards the machine that builds with them.
 */
import { Failure, reasonOf } from "../../os/failure.ts";
import {
  formatHandedSecrets,
  handedSecretsMaxBytes,
  type HandedCredential,
  type HandedSecrets,
} from "../../manifests/own/handed-secrets.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import type { Database } from "../database/database.ts";
import type { SecretsKey } from "./key.ts";
import { isReserved } from "./reserved-variables.ts";
import { covers, placeOf, prefixOf } from "./places.ts";
import { shortestSecret } from "./printed-forms.ts";

/** What is listed of a secret. */
export interface SecretEntry {
  name: string;
  /** URL prefix of the repositories that have it; empty: all. */
  repository: string;
  set_at: Date;
}

/** What is listed of a credential. */
export interface CredentialEntry {
  url: string;
  kind: "password" | "key";
  username: string;
  set_at: Date;
}

/** A credential as somebody gives it. */
export interface GivenCredential {
  url: string;
  user?: string;
  password?: string;
  key?: string;
  knownHosts?: string;
}

type Sealed<T> = T & { sealed: string };

/** What a build is, as far as its secrets are concerned. */
export interface Asking {
  id: number;
  repository: string;
  /** Names of secrets. */
  names: readonly string[];
  isTrusted: boolean;
}

const longestValue = 32 * 1024;

export class Vault {
  readonly #database: Database;
  readonly #key: SecretsKey;

  constructor(database: Database, key: SecretsKey) {
    this.#database = database;
    this.#key = key;
  }

  /** Encrypts anew what an older key of the file has encrypted; to be called when the controller starts. */
  async renew(): Promise<void> {
    if (!(await this.#isInUse())) return;
    await this.#key.provide(true);
    const secrets = await this.#database.query<Sealed<SecretEntry>>("select * from croft.secrets");
    for (const { name, repository, sealed } of secrets.filter((one) => this.#key.isOld(one.sealed)))
      await this.#database.query(
        "update croft.secrets set sealed = $4 where name = $1 and repository = $2 and sealed = $3",
        [name, repository, sealed, this.#resealed(sealed, secretPurpose(name, repository))],
      );
    const credentials = await this.#database.query<Sealed<CredentialEntry>>(
      "select * from croft.credentials",
    );
    for (const { url, sealed } of credentials.filter((one) => this.#key.isOld(one.sealed)))
      await this.#database.query("update croft.credentials set sealed = $3 where url = $1 and sealed = $2", [
        url,
        sealed,
        this.#resealed(sealed, credentialPurpose(url)),
      ]);
    const handed = await this.#database.query<{ build: number; sealed: string }>(
      "select build, sealed from croft.handed_secrets",
    );
    for (const { build, sealed } of handed.filter((one) => this.#key.isOld(one.sealed)))
      await this.#database.query(
        "update croft.handed_secrets set sealed = $3 where build = $1 and sealed = $2",
        [build, sealed, this.#resealed(sealed, handedPurpose(build))],
      );
  }

  #resealed(sealed: string, purpose: string): string {
    return this.#key.seal(this.#key.open(sealed, purpose), purpose);
  }

  async #isInUse(): Promise<boolean> {
    const [row] = await this.#database.query<{ any: boolean }>(
      "select exists (select from croft.secrets) or exists (select from croft.credentials) as any",
    );
    return row!.any;
  }

  /** Makes the key's file, if nothing needs another one. */
  async provideKey(): Promise<void> {
    await this.#key.provide(await this.#isInUse());
  }

  /** @throws {Failure} if it could not be hidden in a log, or handed to a machine. */
  async setSecret(name: string, repository: string, value: string): Promise<void> {
    const action = `set the secret '${name}'`;
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,99}$/.test(name))
      throw new Failure(action, "that is no name of a variable");
    if (isReserved(name)) throw new Failure(action, "a build has a variable of this name already");
    checkValue(action, value);
    checkHanded(action, { variables: { [name]: value }, credentials: [] });
    const place = repository === "" ? "" : prefixOf(repository, action);
    await this.provideKey();
    await this.#database.query(
      `insert into croft.secrets (name, repository, sealed) values ($1, $2, $3)
       on conflict (name, repository) do update set sealed = excluded.sealed, set_at = now()`,
      [name, place, this.#key.seal(value, secretPurpose(name, place))],
    );
  }

  async secrets(): Promise<SecretEntry[]> {
    return await this.#database.query<SecretEntry>(
      "select name, repository, set_at from croft.secrets order by name, repository",
    );
  }

  /** @throws {Failure} if there is none. */
  async removeSecret(name: string, repository: string): Promise<void> {
    const action = `remove the secret '${name}'`;
    const place = repository === "" ? "" : prefixOf(repository, action);
    const gone = await this.#database.query(
      "delete from croft.secrets where name = $1 and repository = $2 returning name",
      [name, place],
    );
    if (gone.length === 0)
      throw new Failure(action, `there is none ${place === "" ? "of the farm" : `for '${place}'`}`, {
        hints: ["See: croft secret list"],
      });
  }

  /** @throws {Failure} for what no machine could use. */
  async setCredential({ url, user, password, key, knownHosts }: GivenCredential): Promise<string> {
    const action = `set a credential for '${url}'`;
    const place = prefixOf(url, action);
    const isSsh = place.startsWith("ssh:");
    if (isSsh !== (key !== undefined) || (key === undefined) === (password === undefined))
      throw new Failure(
        action,
        isSsh ? "by ssh one is known by a key" : "a user and a password, or token, are needed",
      );
    if (!isSsh && user === undefined) throw new Failure(action, "the user is not given (--user)");
    if (isSsh && knownHosts === undefined)
      throw new Failure(action, "the server's own key is not given, by which a machine knows it", {
        hints: [
          "ssh-keyscan HOST prints it: compare it with what the server's people say, and give it with --known-hosts",
        ],
      });
    const secret = {
      ...withoutUndefined({ password, key: key?.trimEnd(), knownHosts: knownHosts?.trimEnd() }),
    };
    checkValue(action, secret.key ?? secret.password!);
    const credential = { url: place, scope: "below" as const, ...withoutUndefined({ user }), ...secret };
    checkHanded(action, { variables: {}, credentials: [credential] });
    await this.provideKey();
    await this.#database.query(
      `insert into croft.credentials (url, kind, username, sealed) values ($1, $2, $3, $4)
       on conflict (url) do update
         set kind = excluded.kind, username = excluded.username, sealed = excluded.sealed, set_at = now()`,
      [
        place,
        isSsh ? "key" : "password",
        user ?? "",
        this.#key.seal(JSON.stringify(secret), credentialPurpose(place)),
      ],
    );
    return place;
  }

  async credentials(): Promise<CredentialEntry[]> {
    return await this.#database.query<CredentialEntry>(
      "select url, kind, username, set_at from croft.credentials order by url",
    );
  }

  /** @throws {Failure} if there is none. */
  async removeCredential(url: string): Promise<void> {
    const action = `remove the credential for '${url}'`;
    const gone = await this.#database.query("delete from croft.credentials where url = $1 returning url", [
      prefixOf(url, action),
    ]);
    if (gone.length === 0)
      throw new Failure(action, "there is none", { hints: ["See: croft credential list"] });
  }

  /** Whether a repository is one that needs a credential here. */
  async needsCredential(repository: string): Promise<boolean> {
    return (await this.needingCredential([repository])).length > 0;
  }

  /** Of several repositories those that need one. */
  async needingCredential(repositories: readonly string[]): Promise<string[]> {
    const known = await this.#database.query<{ url: string }>("select url from croft.credentials");
    return repositories.filter((repository) => known.some(({ url }) => covers(url, repository)));
  }

  /** The names of secrets that a repository does not have. */
  async missing(names: readonly string[], repository: string): Promise<string[]> {
    const found = await this.#secretsFor(names, repository);
    return names.filter((name) => !found.has(name));
  }

  /** Of each name that of the longest prefix. */
  async #secretsFor(names: readonly string[], repository: string): Promise<Map<string, Sealed<SecretEntry>>> {
    if (names.length === 0) return new Map();
    const rows = await this.#database.query<Sealed<SecretEntry>>(
      "select * from croft.secrets where name = any($1::text[]) order by length(repository)",
      [names],
    );
    return new Map(rows.filter((row) => covers(row.repository, repository)).map((row) => [row.name, row]));
  }

  /**
   * What the machine of a build is given. It is written down first, so that it is hidden in whatever comes from there, also
   * if the secret is another one by then.
   *
   * @throws {Failure} if the key or a secret is not there any more.
   */
  async handOut({ id, repository, names, isTrusted }: Asking): Promise<Uint8Array> {
    const variables: Record<string, string> = {};
    if (isTrusted)
      for (const [name, row] of await this.#secretsFor(names, repository))
        variables[name] = this.#key.open(row.sealed, secretPurpose(name, row.repository));
    for (const name of isTrusted ? names : [])
      if (variables[name] === undefined) throw new Failure(`hand out the secret '${name}'`, "it was removed");
    const credentials = await this.#credentialsFor(repository, isTrusted);
    const text = Buffer.from(formatHandedSecrets({ variables, credentials }));
    if (text.length > handedSecretsMaxBytes)
      throw new Failure("hand out secrets", `they are longer than ${handedSecretsMaxBytes} bytes together`);
    await this.#note(id, { variables, credentials });
    return text;
  }

  /**
   * What the controller itself needs to read of a repository, and of no other one.
   *
   * @throws {Failure} if the key is not there any more.
   */
  async credentialFor(repository: string): Promise<HandedCredential | undefined> {
    const [credential] = await this.#credentialsFor(repository, false);
    return credential;
  }

  /** Who is not trusted reaches no other repository with it, by a submodule for instance. */
  async #credentialsFor(repository: string, isTrusted: boolean): Promise<HandedCredential[]> {
    const rows = await this.#database.query<Sealed<CredentialEntry>>("select * from croft.credentials");
    return rows
      .filter(({ url }) => covers(url, repository))
      .sort((one, other) => other.url.length - one.url.length)
      .slice(0, 1)
      .map(({ url, username, sealed }) => ({
        url: isTrusted ? url : placeOf(repository)!,
        scope: isTrusted ? "below" : "exact",
        ...(username === "" ? {} : { user: username }),
        ...(JSON.parse(this.#key.open(sealed, credentialPurpose(url))) as object),
      }));
  }

  async #note(build: number, handed: HandedSecrets): Promise<void> {
    await this.#database.transaction(async (sql) => {
      await sql.query("select id from croft.builds where id = $1 for update", [build]);
      const before = await sql.query<{ sealed: string }>(
        "select sealed from croft.handed_secrets where build = $1",
        [build],
      );
      const text = JSON.stringify(handed);
      const purpose = handedPurpose(build);
      if (before.some(({ sealed }) => this.#key.open(sealed, purpose) === text)) return;
      await sql.query("insert into croft.handed_secrets (build, sealed) values ($1, $2)", [
        build,
        this.#key.seal(text, purpose),
      ]);
    });
  }

  /** All that machines of a build were given. */
  async handedTo(build: number): Promise<HandedSecrets[]> {
    const rows = await this.#database.query<{ sealed: string }>(
      "select sealed from croft.handed_secrets where build = $1",
      [build],
    );
    return rows.map(
      ({ sealed }) => JSON.parse(this.#key.open(sealed, handedPurpose(build))) as HandedSecrets,
    );
  }
}

const secretPurpose = (name: string, repository: string) => `secret ${name} ${repository}`;
const credentialPurpose = (url: string) => `credential ${url}`;
const handedPurpose = (build: number) => `handed ${build}`;

function checkValue(action: string, value: string): void {
  if (value.length < shortestSecret)
    throw new Failure(
      action,
      `it has fewer than ${shortestSecret} characters: it would not be told from other words in a log`,
    );
  if (value.length > longestValue) throw new Failure(action, `it has more than ${longestValue} characters`);
}

function checkHanded(action: string, handed: HandedSecrets): void {
  try {
    formatHandedSecrets(handed);
  } catch (error) {
    throw new Failure(action, `a machine cannot be told it: ${reasonOf(error)}`, {
      cause: error,
      hints: ["Bytes that are no text are given in base64."],
    });
  }
}
