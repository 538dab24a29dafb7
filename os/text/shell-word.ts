/** A word for a POSIX shell, and for zsh and fish: for the last it may have no backslash before a quote or at its end. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
