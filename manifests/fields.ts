/** Thrown by a value's reader; {@link Fields} adds the place. */
export class InvalidValue extends Error {}

/** Turns the text of a value into what it means; throws {@link InvalidValue}. */
export type ValueReader<T> = (text: string) => T;

/** The pairs of a stream by index, and how an error at one of them is reported. */
export interface Values {
  value(index: number): string;
  /** @throws {ManifestError} with the place of the pair's name, or its value. */
  fail(index: number, message: string, at?: "name" | "value"): never;
  /** Reports a name that nobody asked for, where that is an error. */
  unknown(name: string, index: number): void;
}

/**
 * The values of one manifest by name. Each name is asked for once; what nobody asked for is unknown.
 *
 * A missing value is reported by {@link finish}, after unknown names: a misspelt name then says where it is.
 */
export class Fields {
  readonly #values: Values;
  readonly #version: number;
  readonly #names: Map<string, number[]>;
  #missing: string | undefined;

  /** @param version index of the pair that opens the manifest; @param names the indexes of each name's pairs. */
  constructor(values: Values, version: number, names: Map<string, number[]>) {
    this.#values = values;
    this.#version = version;
    this.#names = names;
  }

  /** A value that must be there once. */
  required<T>(name: string, read: ValueReader<T>): T {
    const value = this.optional(name, read);
    if (value === undefined) this.lacks(name);
    return value as T; // finish() throws before anyone can see that it is not
  }

  /** A value that may be there once. */
  optional<T>(name: string, read: ValueReader<T>): T | undefined {
    const indexes = this.#take(name);
    if (indexes.length > 1) this.#values.fail(indexes[1]!, `'${name}' is repeated`);
    return indexes.length === 0 ? undefined : this.#read(name, indexes[0]!, read);
  }

  /** A value that may be there any number of times. */
  repeated<T>(name: string, read: ValueReader<T>): T[] {
    return this.#take(name).map((index) => this.#read(name, index, read));
  }

  /** All values whose names match, by the pattern's first group (empty if it took no part), in order; each once. */
  matching<T>(pattern: RegExp, read: ValueReader<T>): [tail: string, value: T][] {
    const entries: [string, T][] = [];
    for (const name of [...this.#names.keys()]) {
      const match = pattern.exec(name);
      if (match) entries.push([match[1] ?? "", this.optional(name, read) as T]);
    }
    return entries;
  }

  /** The same as an object. */
  record<T>(pattern: RegExp, read: ValueReader<T>): Record<string, T> {
    return Object.fromEntries(this.matching(pattern, read)); // unlike assignment, safe for a name like __proto__
  }

  /** Says that a value, which is there, cannot stand. */
  fail(name: string, index: number, reason: string): never {
    return this.#values.fail(index, `invalid '${name}': ${reason}`, "value");
  }

  /** Where a name's value is; call before asking for it. */
  indexOf(name: string): number | undefined {
    return this.#names.get(name)?.[0];
  }

  /** Says that a value is missing. */
  lacks(name: string): void {
    this.#missing ??= name;
  }

  /** Reports unknown names, then the first missing value. */
  finish(): void {
    for (const [name, indexes] of this.#names) this.#values.unknown(name, indexes[0]!);
    this.#names.clear();
    if (this.#missing !== undefined) this.#values.fail(this.#version, `'${this.#missing}' is missing`);
  }

  #take(name: string): number[] {
    const indexes = this.#names.get(name) ?? [];
    this.#names.delete(name);
    return indexes;
  }

  #read<T>(name: string, index: number, read: ValueReader<T>): T {
    try {
      return read(this.#values.value(index));
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      return this.fail(name, index, error.message);
    }
  }
}

/** For each optional property, undefined is allowed here, and means absent. */
type Loose<T> = { [K in keyof T]-?: object extends Pick<T, K> ? T[K] | undefined : T[K] };

/** An object without the properties that are undefined. */
export function present<T extends object>(properties: Loose<T>): T {
  return Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined)) as T;
}
