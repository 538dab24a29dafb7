/** Sizes of the functions and data of an image, as `nm --size-sort` prints them, and how they change. */

/** Bytes by name. */
export type SymbolSizes = ReadonlyMap<string, number>;

/** A part of a function that the compiler has split off, or a local copy, has a number that changes with anything. */
const compilersSuffix = /(?<=.)\..*$/;

export function readSymbols(text: string): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [, size, name] = /^\s*([0-9a-f]+) [tTdDbBrR] (\S+)\s*$/.exec(line) ?? [];
    if (name === undefined) continue;
    const plain = name.replace(compilersSuffix, "");
    const key = plain === name ? name : `static.${plain}`;
    sizes.set(key, (sizes.get(key) ?? 0) + Number.parseInt(size!, 16));
  }
  return sizes;
}

/** First the sums, and then each one that has another size, the largest growth first; empty if nothing has changed. */
export function symbolChanges(image: string, before: SymbolSizes, after: SymbolSizes): string[] {
  const changes = [...new Set([...before.keys(), ...after.keys()])]
    .map((name) => ({ name, old: before.get(name), now: after.get(name) }))
    .map((each) => ({ ...each, bytes: (each.now ?? 0) - (each.old ?? 0) }))
    .filter(({ bytes }) => bytes !== 0)
    .sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1));
  if (changes.length === 0) return [];
  const count = (which: (each: (typeof changes)[number]) => boolean) => changes.filter(which).length;
  const sum = (sign: number) =>
    changes.reduce((total, { bytes }) => total + (Math.sign(bytes) === sign ? bytes : 0), 0);
  const added = count(({ old }) => old === undefined);
  const removed = count(({ now }) => now === undefined);
  const grown = count(({ bytes, old }) => bytes > 0 && old !== undefined);
  const shrunk = count(({ bytes, now }) => bytes < 0 && now !== undefined);
  return [
    `${image}: ${added} added, ${removed} removed, ${grown} grown, ${shrunk} shrunk; +${sum(1)} -${-sum(-1)} bytes`,
    ...changes.map(
      ({ name, old, now, bytes }) =>
        `${bytes > 0 ? "+" : ""}${bytes} ${name} (${old ?? "new"} -> ${now ?? "gone"})`,
    ),
  ];
}
