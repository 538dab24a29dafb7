/**
 * What a machine is given that nobody else may know: secrets of the build, as variables, and credentials for the repository.
 * A manifest as others are, though never a part of a task: an agent fetches it for a session, keeps it in memory, and hands it
 * to the machine (agent/performing/handing/secrets.ts).
 *
 *     : 1
 *     variable-NPM_TOKEN: …
 *     credential-1-url: https://git.example.org/team
 *     credential-1-scope: below            or: exact, for this one repository alone
 *     credential-1-user: builder
 *     credential-1-password: …
 *     credential-2-url: ssh://git.example.org/team
 *     credential-2-scope: below
 *     credential-2-key: …
 *     credential-2-known-hosts: …
 */
import { formatSections, type Entry } from "../sections.ts";

/** It goes through a machine's control port, byte by byte. */
export const handedSecretsMaxBytes = 128 * 1024;

/** A way into repositories at a URL. */
export interface HandedCredential {
  url: string;
  scope: "below" | "exact";
  user?: string;
  password?: string;
  /** A private key as OpenSSH has them, without a passphrase. */
  key?: string;
  knownHosts?: string;
}

export interface HandedSecrets {
  variables: Readonly<Record<string, string>>;
  credentials: readonly HandedCredential[];
}

/** @throws {ManifestWriteError} for characters that no manifest has. */
export function formatHandedSecrets({ variables, credentials }: HandedSecrets): Uint8Array {
  const entries: Entry[] = Object.entries(variables).map(([name, value]) => [`variable-${name}`, value]);
  for (const [index, { url, scope, user, password, key, knownHosts }] of credentials.entries()) {
    const prefix = `credential-${index + 1}`;
    entries.push([`${prefix}-url`, url], [`${prefix}-scope`, scope], [`${prefix}-user`, user]);
    entries.push([`${prefix}-password`, password], [`${prefix}-key`, key]);
    entries.push([`${prefix}-known-hosts`, knownHosts]);
  }
  return formatSections([entries]);
}

/** What must not be read anywhere of what a machine is given. */
export function hiddenIn({ variables, credentials }: HandedSecrets): string[] {
  const ways = credentials.flatMap(({ password, key }) => [password, key]);
  return [...Object.values(variables), ...ways].filter(
    (text) => text !== undefined && text !== "",
  ) as string[];
}
