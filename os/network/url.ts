/** Words of a query that say what is asked; whatever else stands there may be a token. */
const plain = /^(?:[a-z]{1,24}(?:-[a-z]{1,24}){0,5}|[0-9]{1,6})$/;
const secretName = /token|key|secret|pass|auth|sig|cred|session|code/i;

/**
 * A URL as it may be shown: without user and password, and with `***` for what in its query may hold a token. What is no
 * URL stays, and so does one that can hold none of these.
 */
export function withoutSecrets(url: string): string {
  const parsed = URL.parse(url);
  if (!parsed || !/[@?#]/.test(url)) return url;
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}${shownQuery(parsed.search)}`;
}

/** A URL as a name for who is reached by it, in metrics and the like: without user, password and query. */
export function withoutQuery(url: string): string {
  const parsed = URL.parse(url);
  return parsed && /[@?#]/.test(url) ? `${parsed.protocol}//${parsed.host}${parsed.pathname}` : url;
}

function shownQuery(search: string): string {
  if (search.length <= 1) return "";
  const parts = search.slice(1).split("&");
  return `?${parts.map(shownParameter).join("&")}`;
}

function shownParameter(part: string): string {
  const [name = "", ...value] = part.split("=");
  if (!plain.test(name)) return "***";
  if (value.length === 0) return name;
  const text = value.join("=");
  return `${name}=${!secretName.test(name) && plain.test(text) ? text : "***"}`;
}
