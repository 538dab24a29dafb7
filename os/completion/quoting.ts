/** A text as one word of a shell, whichever of bash, zsh and fish reads it; it must have no backslash before a quote. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
