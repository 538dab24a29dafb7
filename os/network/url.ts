/**
 * A URL as it may be shown: without user, password and query, which may hold a token. What is no URL stays, and so does
 * one that can hold none of these.
 */
export function withoutSecrets(url: string): string {
  const parsed = URL.parse(url);
  if (!parsed || !/[@?#]/.test(url)) return url;
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
}
