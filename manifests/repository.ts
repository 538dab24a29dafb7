/** What the URL of a repository tells. */
export type RepositoryType = "pkg" | "dir" | "git";

/**
 * True for a path or a `file:` URL.
 *
 * A scheme of one letter is a drive. `host:path` without slashes before the colon is what git and scp take for a
 * place on another host.
 */
export function isLocalUrl(url: string): boolean {
  const [, scheme] = /^([A-Za-z][A-Za-z0-9+.-]+):/.exec(url) ?? [];
  if (scheme !== undefined) return scheme.toLowerCase().split("+").includes("file");
  return !/^[^/:@\\-][^/:@\\]*@[^/:\\]+:/.test(url);
}

/** The last part of a URL's path, without what git and archives add; undefined if there is none. */
export function packageNameFrom(repository: string): string | undefined {
  const place = repository.replace(/^([a-z0-9+.-]+:\/\/)[^/?#]*@/i, "$1"); // a password is no name
  const path = place.replace(/[#?].*$/, "").replace(/\/+$/, "");
  return path.slice(path.search(/[^/:]*$/)).replace(/\.git$|\.tar\.\w+$|\.tgz$/, "") || undefined;
}

/** The type of a repository whose manifest does not say: by scheme, the path's ending `.git`, or a fragment. */
export function guessRepositoryType(url: string): RepositoryType {
  const [location = "", fragment] = url.split("#", 2);
  const [, scheme = ""] = /^([A-Za-z][A-Za-z0-9+.-]+):/.exec(location) ?? [];
  if (/^(?:git|ssh)$|^git\+/i.test(scheme) || fragment !== undefined) return "git";
  if (/\.git\/?$/.test(location)) return "git";
  if (isLocalUrl(url)) return "dir";
  return scheme === "" || !/^[^:]*:\/\//.test(location) ? "git" : "pkg";
}
