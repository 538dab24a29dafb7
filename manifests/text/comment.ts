/** Values that carry a comment after `;` (manifest-format, section 5); callers decide which values do. */

/** Splits a value from its comment and removes the escaping. */
export function splitComment(text: string): { value: string; comment: string } {
  return text.includes("\n") ? splitLines(text) : splitLine(text);
}

function splitLine(text: string): { value: string; comment: string } {
  let value = "";
  let at = 0;
  for (; at < text.length && text[at] !== ";"; at++) {
    if (text[at] === "\\" && (text[at + 1] === ";" || text[at + 1] === "\\")) at++;
    value += text[at];
  }
  let end = value.length;
  while (isBlank(value[end - 1])) end--;
  let start = at + 1;
  while (isBlank(text[start])) start++;
  return { value: value.slice(0, end), comment: text.slice(start) };
}

function isBlank(character: string | undefined): boolean {
  return character === " " || character === "\t";
}

function splitLines(text: string): { value: string; comment: string } {
  const lines = text.split("\n");
  const separator = lines.indexOf(";");
  const valueLines = separator < 0 ? lines : lines.slice(0, separator);
  const value = valueLines.map((line) =>
    /^\\+;$/.test(line) ? line.slice(Math.floor(line.length / 2)) : line,
  );
  return { value: value.join("\n"), comment: separator < 0 ? "" : lines.slice(separator + 1).join("\n") };
}
