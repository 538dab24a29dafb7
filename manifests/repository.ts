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

/** The type of a repository whose manifest does not say: by scheme, the path's ending `.git`, or a fragment. */
export function guessRepositoryType(url: string): RepositoryType {
  const [location = "", fragment] = url.split("#", 2);
  const [, scheme = ""] = /^([A-Za-z][A-Za-z0-9+.-]+):/.exec(location) ?? [];
  if (/^(?:git|ssh)$|^git\+/i.test(scheme) || fragment !== undefined) return "git";
  if (/\.git\/?$/.test(location)) return "git";
  if (isLocalUrl(url)) return "dir";
  return scheme === "" || !/^[^:]*:\/\//.test(location) ? "git" : "pkg";
}
