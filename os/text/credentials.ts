/**
 * User and password in URLs are for servers, not for readers. This is where they are taken out of whatever people read:
 * pages, answers, logs, messages.
 */

const mask = "***";
const urls = /\b([a-z][a-z0-9+.-]{0,30}:\/\/)([^\s"'`<>]+)/gi;
/** Names of query parameters that stand for somebody's rights; a URL that is signed counts, too. */
const telling = /token|secret|passw|(?:^|[_-])(?:key|pw|sig|auth)$|api_?key|signature|credential/i;

/** A text in which nobody reads credentials: in each URL, `***` stands for them. */
export function maskCredentials(text: string): string {
  return text.includes("://")
    ? text.replace(urls, (_all, scheme: string, rest: string) => scheme + masked(scheme, rest))
    : text;
}

function masked(scheme: string, rest: string): string {
  const { user, tail } = split(rest);
  return shownUser(scheme, user) + maskQuery(tail);
}

/** `user` ends with the `@`, if there is one. */
function split(rest: string): { user: string; tail: string } {
  const authority = /^[^/?#]*/.exec(rest)![0];
  const end = authority.lastIndexOf("@") + 1;
  return { user: rest.slice(0, end), tail: rest.slice(end) };
}

/** By ssh one logs in as somebody, usually `git`: a name is no secret there, and the place is none without it. */
function shownUser(scheme: string, user: string): string {
  if (user === "" || (isSsh(scheme) && !user.includes(":"))) return user;
  return isSsh(scheme) ? `${user.slice(0, user.indexOf(":"))}:${mask}@` : `${mask}@`;
}

function isSsh(scheme: string): boolean {
  return /^(git\+)?ssh(\+git)?:/i.test(scheme);
}

function maskQuery(tail: string): string {
  return tail.replace(/([?&;])([^=&;#]+)=([^&;#]*)/g, (all, mark: string, name: string) =>
    telling.test(name) ? `${mark}${name}=${mask}` : all,
  );
}

/** Whether a URL says as whom one logs in, but by ssh, where a name alone is no secret. */
export function hasUserInfo(url: string): boolean {
  const [, scheme = "", rest = ""] = /^([a-z][a-z0-9+.-]{0,30}:\/\/)(\S+)/i.exec(url) ?? [];
  const { user } = split(rest);
  return user !== "" && shownUser(scheme, user) !== user;
}

/** Shorter ones would be found in every word; as a part of a URL they are masked all the same. */
const shortestSecret = 4;
/** A user without a password may be a token; but one with a password may be called like a word. */
const shortestToken = 16;

/** What gives away the credentials of a URL wherever it is printed, the longest first. */
export function secretsOf(url: string): string[] {
  const [, scheme = "", rest = ""] = /^([a-z][a-z0-9+.-]{0,30}:\/\/)(\S+)/i.exec(url) ?? [];
  const { user: userInfo, tail } = split(rest);
  const secrets = new Set<string>();
  const add = (text: string, least = shortestSecret) => {
    for (const form of [text, decoded(text)]) if (form.length >= least) secrets.add(form);
  };
  const [, user = "", , password = ""] = /^([^:]*)(:(.*))?@$/s.exec(userInfo) ?? [];
  if (password !== "") {
    add(password);
    add(`${user}:${password}`);
    add(Buffer.from(`${decoded(user)}:${decoded(password)}`).toString("base64")); // as it goes over the line
    add(user, shortestToken);
  } else if (!isSsh(scheme)) add(user);
  for (const [, name = "", value = ""] of tail.matchAll(/[?&;]([^=&;#]+)=([^&;#]*)/g))
    if (telling.test(name)) add(value);
  return [...secrets].sort((one, other) => other.length - one.length);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
