/** Sizes of what was built, as size(1) prints them (Berkeley format): text, data, bss, dec, hex, file. */

/** Bytes of the sections of one image. */
export interface ImageSize {
  text: number;
  data: number;
  bss: number;
}

const linePattern = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([0-9a-f]+)\s+(\S.*?)\s*$/;

/**
 * Makes the lines comparable between hosts and threads: files are named relative to the directory they were built in,
 * so that the same image has the same name wherever it was built.
 */
export function portableSizes(raw: string): string {
  const lines = raw.split("\n").flatMap((line) => linePattern.exec(line) ?? []);
  const rows: string[][] = [];
  for (let at = 0; at < lines.length; at += 7) rows.push(lines.slice(at, at + 7));
  const paths = rows.map((row) => row[6]!);
  const common = commonDirectory(paths);
  return rows
    .map(
      (row) =>
        [...row.slice(1, 4).map((field) => field.padStart(7)), row[4]!.padStart(7), row[5]!.padStart(7)].join(
          "\t",
        ) + `\t${row[6]!.slice(common.length)}\n`,
    )
    .join("");
}

/** Reads the lines by image; others are passed over. */
export function parseSizes(text: string): Map<string, ImageSize> {
  const sizes = new Map<string, ImageSize>();
  for (const line of text.split("\n")) {
    const found = linePattern.exec(line);
    if (!found) continue;
    sizes.set(found[6]!, { text: Number(found[1]), data: Number(found[2]), bss: Number(found[3]) });
  }
  return sizes;
}

/** What changed from one commit to the next: `u-boot: text +120 data -8`; empty if nothing. */
export function sizeChanges(before: Map<string, ImageSize>, after: Map<string, ImageSize>): string[] {
  return [...after].flatMap(([image, now]) => {
    const then = before.get(image);
    if (!then) return [];
    const changes = (["text", "data", "bss"] as const).flatMap((section) => {
      const bytes = now[section] - then[section];
      return bytes === 0 ? [] : [`${section} ${bytes > 0 ? "+" : ""}${bytes}`];
    });
    return changes.length === 0 ? [] : [`${image}: ${changes.join(" ")}`];
  });
}

/** The directory that all paths are in, with its last slash. */
function commonDirectory(paths: readonly string[]): string {
  const [first = "", ...rest] = paths;
  let length = first.lastIndexOf("/") + 1;
  while (length > 0 && !rest.every((path) => path.startsWith(first.slice(0, length))))
    length = first.lastIndexOf("/", length - 2) + 1;
  return first.slice(0, length);
}
