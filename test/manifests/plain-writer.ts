/** The writer's rules (manifest-format, section 6) once more, spelt out code point by code point. */

const blank = (character: string | undefined) => character === " " || character === "\t";

/** What a pair must look like. */
export function writePairPlainly(name: string, value: string, longLines: boolean): string {
  if (value === "") return `${name}:\n`;
  const column = [...name].length + 1;
  if (column + 1 > 39 || /[\r\n]/.test(value) || blank(value[0]) || blank(value.at(-1))) {
    const chunks = value.split(/\r\n|\r|\n/).map((chunk) => `${writeChunk(chunk, 0, longLines)}\n`);
    return `${name}:\n\\\n${chunks.join("")}\\\n`;
  }
  return `${name}: ${writeChunk(value, column + 1, longLines)}\n`;
}

function writeChunk(chunk: string, column: number, longLines: boolean): string {
  let text = "";
  let previous = "";
  let rest = chunk;
  for (const character of chunk) {
    if (!longLines && previous !== "\\" && breaksBefore(rest, character, column)) {
      text += "\\\n";
      column = 0;
    }
    text += character;
    column++;
    previous = character;
    rest = rest.slice(character.length);
  }
  return chunk.endsWith("\\") ? `${text}\\` : text;
}

function breaksBefore(rest: string, character: string, column: number): boolean {
  if (blank(character) && column > 57) {
    const next = rest.slice(1).search(/[ \t]/);
    const width = Buffer.byteLength(next < 0 ? rest : rest.slice(0, next + 1));
    if (column + width > (next < 0 ? 78 : 77)) return true;
  }
  return column >= (Buffer.byteLength(rest) === 1 ? 78 : 77);
}
