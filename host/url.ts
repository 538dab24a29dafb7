/** A URL as it may be shown: without user, password and query, which may hold a token. What is no URL stays. */
export function withoutSecrets(url: string): string {
  const parsed = URL.parse(url);
  return parsed ? `${parsed.protocol}//${parsed.host}${parsed.pathname}` : url;
}
