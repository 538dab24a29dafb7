/** Whether a name matches a pattern in which `*` stands for any text and `?` for one character. */
export function matchesPattern(pattern: string, name: string): boolean {
  const expression = pattern
    .replace(/\*+/g, "*")
    .replace(/[^*?]+/g, (text) => text.replace(/[\\^$.|+()[\]{}]/g, "\\$&"))
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${expression}$`, "s").test(name);
}
