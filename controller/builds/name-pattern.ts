/**
 * Whether a name matches a pattern in which `*` stands for any text and `?` for one character.
 *
 * Both may come from strangers: the time is at most the product of the lengths, which a regular expression with
 * several `.*` is far from.
 */
export function matchesPattern(pattern: string, name: string): boolean {
  let at = 0;
  let from = 0;
  // Where the latest star stands, and where the name goes on after what it stands for; a longer piece is tried next.
  let star = -1;
  let resume = 0;
  while (from < name.length) {
    if (pattern[at] === "*") {
      star = at++;
      resume = from;
    } else if (at < pattern.length && (pattern[at] === "?" || pattern[at] === name[from])) {
      at++;
      from++;
    } else if (star >= 0) {
      at = star + 1;
      from = ++resume;
    } else return false;
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
}
