/** Sizes of what was built, as size(1) prints them (Berkeley format): text, data, bss, dec, hex, file. */

/** Bytes of the sections of one image. */
export interface ImageSize {
  text: number;
  data: number;
  bss: number;
}

/** In results that have the sections, buildman and croft add the size of `.rodata`, in hexadecimal. */
const linePattern =
  /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([0-9a-f]+)\s+(\S.*?)(?:\s+([0-9a-f]{8}|[0-9a-f]{16}))?\s*$/;

/**
 * Makes the lines comparable between hosts and threads: files are named relative to the directory they were built in,
 * so that the same image has the same name wherever it was built.
 *
 * @param files that came with the result: with the sections of an image, its line has the size of `.rodata`, too.
 */
export function portableSizes(raw: string, files: Readonly<Record<string, string>> = {}): string {
  const rows = raw.split("\n").flatMap((line) => {
    const row = linePattern.exec(line);
    return row ? [row] : [];
  });
  const common = commonDirectory(rows.map((row) => row[6]!));
  return rows
    .map((row) => {
      const image = row[6]!.slice(common.length);
      const rodata = rodataOf(files[`${image.replaceAll("/", "-")}.objdump`]) ?? row[7];
      const numbers = row.slice(1, 6).map((field) => field.padStart(7));
      return `${numbers.join("\t")}\t${image}${rodata === undefined ? "" : ` ${rodata}`}\n`;
    })
    .join("");
}

/** As objdump -h has it: number, name, size and addresses of each section. */
function rodataOf(sections: string | undefined): string | undefined {
  return /^\s*\d+\s+\.rodata\s+([0-9a-f]+)\s/m.exec(sections ?? "")?.[1];
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

/** The same as bytes of all images together that there were before, too. */
export function sizeDifference(before: Map<string, ImageSize>, after: Map<string, ImageSize>): ImageSize {
  const sum = { text: 0, data: 0, bss: 0 };
  for (const [image, now] of after) {
    const then = before.get(image);
    if (then)
      for (const section of ["text", "data", "bss"] as const) sum[section] += now[section] - then[section];
  }
  return sum;
}

/** The directory that all paths are in, with its last slash. */
function commonDirectory(paths: readonly string[]): string {
  const [first = "", ...rest] = paths;
  let length = first.lastIndexOf("/") + 1;
  while (length > 0 && !rest.every((path) => path.startsWith(first.slice(0, length))))
    length = first.lastIndexOf("/", length - 2) + 1;
  return first.slice(0, length);
}
