/** The manifests of a stream, one after the other, as the typed parsers take them. */
import { ManifestError } from "./error.ts";
import { Fields } from "./fields.ts";
import type { ParseOptions } from "./parse-options.ts";
import { readPairs } from "./text/fast-reader.ts";
import { readPositionedPairs, type Pair, type PositionedPair } from "./text/reader.ts";
import { ManifestWriter, pieceLength, writePairs, type WriterOptions } from "./text/writer.ts";

/** A stream of manifests being parsed. Positions are only found out when there is an error to report. */
export class Sections {
  readonly #bytes: Uint8Array;
  readonly #pairs: Pair[];
  readonly #options: ParseOptions;
  readonly #unknown = new Set<string>();
  /** Index of the next pair. */
  #next = 0;

  constructor(bytes: Uint8Array, options: ParseOptions) {
    this.#bytes = bytes;
    this.#options = options;
    this.#pairs = readPairs(bytes, options.source);
  }

  /** No manifest is left. */
  get done(): boolean {
    return this.#next >= this.#pairs.length - 1;
  }

  /**
   * Takes the next manifest.
   *
   * @throws {ManifestError} "… expected" if there is none, or what `read` throws.
   */
  take<T>(what: string, read: (fields: Fields) => T): T {
    if (this.done) this.fail(this.#next, `${what} expected`);
    const version = this.#next++;
    const names = new Map<string, number[]>();
    for (; this.#pairs[this.#next]!.name !== ""; this.#next++) {
      const { name } = this.#pairs[this.#next]!;
      const indexes = names.get(name);
      if (indexes) indexes.push(this.#next);
      else names.set(name, [this.#next]);
    }
    this.#next++;
    const fields = new Fields(this, version, names);
    const result = read(fields);
    fields.finish();
    return result;
  }

  /** @throws {ManifestError} unless all manifests were taken. */
  end(): void {
    if (!this.done) this.fail(this.#next, "end of stream expected");
  }

  value(index: number): string {
    return this.#pairs[index]!.value;
  }

  /** A name that no parser asked for. */
  unknown(name: string, index: number): void {
    if (!this.#options.lenient) this.fail(index, `unknown name '${name}'`);
    if (this.#unknown.has(name)) return;
    this.#unknown.add(name);
    this.#options.onUnknown?.(name);
  }

  /** Reports an error at the name or the value of a pair. */
  fail(index: number, reason: string, part: "name" | "value" = "name"): never {
    const pair: PositionedPair = readPositionedPairs(this.#bytes)[index]!;
    throw new ManifestError(part === "name" ? pair.nameAt : pair.valueAt, reason, this.#options.source);
  }
}

/**
 * Parses a stream that has exactly one manifest.
 *
 * @throws {ManifestError}
 */
export function parseSingle<T>(
  bytes: Uint8Array,
  options: ParseOptions,
  what: string,
  read: (fields: Fields) => T,
): T {
  const sections = new Sections(bytes, options);
  const result = sections.take(what, read);
  sections.end();
  return result;
}

/** Pairs with values that may be absent. */
export type Entry = readonly [name: string, value: string | number | boolean | undefined];

/**
 * Writes manifests, leaving out absent values.
 *
 * @throws {ManifestWriteError}
 */
export function formatSections(
  sections: Iterable<readonly Entry[]>,
  options: WriterOptions = {},
): Uint8Array {
  return writePairs(pairsOf(sections), options);
}

/**
 * The same bytes as {@link formatSections}, in pieces, none of which takes long to make, with long lines.
 *
 * @throws {ManifestWriteError}
 */
export function* formatSectionsInPieces(sections: Iterable<readonly Entry[]>): Generator<Uint8Array> {
  const writer = new ManifestWriter({ longLines: true });
  for (const { name, value } of pairsOf(sections)) {
    for (const _ of writer.pieces(name, value)) yield writer.take();
    if (writer.length >= pieceLength) yield writer.take();
  }
  yield writer.take();
}

function* pairsOf(sections: Iterable<readonly Entry[]>): Generator<{ name: string; value: string }> {
  for (const section of sections) {
    yield { name: "", value: "1" };
    for (const [name, value] of section) if (value !== undefined) yield { name, value: String(value) };
    yield { name: "", value: "" };
  }
  yield { name: "", value: "" };
}
