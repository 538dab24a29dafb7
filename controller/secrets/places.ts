/** Which repositories a URL prefix covers. */
import { Failure } from "../../os/failure.ts";

/** Of a repository, however its URL is written: `SCHEME://HOST[:PORT]/PATH`, without user, branch and `.git`. */
export function placeOf(repository: string): string | undefined {
  // As git has it, `git@host:path` is ssh.
  const short = /^(?:[^@/:]+@)?([A-Za-z0-9.-]+):(?!\/\/)\/*(.+)$/.exec(repository);
  const url = URL.parse(short ? `ssh://${short[1]}/${short[2]}` : repository.replace(/^git\+/, ""));
  if (!url || url.host === "") return undefined;
  const path = url.pathname.replace(/\/+$/, "").replace(/\.git$/, "");
  return `${url.protocol}//${url.host.toLowerCase()}${path}`;
}

/** Whether a prefix, as {@link prefixOf} gives it, covers a repository; whole names of its path count. */
export function covers(prefix: string, repository: string): boolean {
  const place = placeOf(repository);
  return place !== undefined && (prefix === "" || place === prefix || place.startsWith(`${prefix}/`));
}

/**
 * A prefix as it is kept.
 *
 * @throws {Failure} for what is no URL of a server.
 */
export function prefixOf(url: string, action: string): string {
  const place = placeOf(url);
  if (place === undefined || !/^(https?|ssh):/.test(place))
    throw new Failure(action, `'${url}' is no https, http or ssh URL`);
  if (/[?#\s]/.test(url)) throw new Failure(action, "a prefix has neither blanks, '?' nor '#'");
  return place;
}
