const kinds = {
  string: ["string", (value) => typeof value === "string"],
  name: ["name", (value) => typeof value === "string" && value !== "" && !value.includes("\0")],
  boolean: ["boolean", (value) => typeof value === "boolean"],
  number: ["number", (value) => typeof value === "number"],
  integer: ["integer", (value) => Number.isSafeInteger(value)],
  count: ["number from 0 on", (value) => Number.isSafeInteger(value) && (value as number) >= 0],
  positive: ["number from 1 on", (value) => Number.isSafeInteger(value) && (value as number) > 0],
} satisfies Record<string, [words: string, check: (value: unknown) => boolean]>;

export type Kind = keyof typeof kinds;

/**
 * The fields of a JSON object that a peer has sent, read one by one into {@link picked}; the first that is missing or
 * of the wrong type is told by {@link problem}, and reading goes on. `null` is as good as a missing field.
 */
export class Fields {
  readonly name: string;
  /** What was read and is right; one object that grows, as a boss reads tens of thousands of messages a second. */
  readonly picked: Record<string, unknown> = {};
  readonly #object: Readonly<Record<string, unknown>>;
  readonly #parent: Fields | undefined;
  #problem: string | undefined;

  /** @param name what the object is, for the words of a problem. */
  constructor(name: string, object: Readonly<Record<string, unknown>>, parent?: Fields) {
    this.name = name;
    this.#object = object;
    this.#parent = parent;
  }

  /** What is wrong with this object or one in it, in words; undefined if nothing is. */
  get problem(): string | undefined {
    return this.#problem;
  }

  complain(problem: string): void {
    this.#problem ??= problem;
    this.#parent?.complain(problem);
  }

  value(field: string): unknown {
    return this.#object[field] ?? undefined;
  }

  /** Picks the field; that it is missing or wrong is a problem. */
  required(field: string, kind: Kind): this {
    if (this.value(field) === undefined) this.complain(`${this.name}: ${field} is missing`);
    return this.optional(field, kind);
  }

  /** Picks the field if it is there. */
  optional(field: string, kind: Kind): this {
    const value = this.value(field);
    if (value !== undefined && this.#check(field, value, kind)) this.picked[field] = value;
    return this;
  }

  /** Picks the field; if it is missing or wrong, the default. */
  lenient(field: string, kind: Kind, byDefault: unknown): this {
    const value = this.value(field);
    this.picked[field] = value !== undefined && kinds[kind][1](value) ? value : byDefault;
    return this;
  }

  /** Picks what was read in another way; nothing if that is undefined. */
  pick(field: string, value: unknown): this {
    if (value !== undefined) this.picked[field] = value;
    return this;
  }

  /** An array of values of one kind. */
  list(field: string, kind: Kind): unknown[] | undefined {
    const list = this.#array(field);
    return list?.every((value, index) => this.#check(`${field}[${index}]`, value, kind)) ? list : undefined;
  }

  /** An array of objects. */
  objects(field: string): Fields[] | undefined {
    const inner = this.#array(field)?.map((value, index) => this.#inner(`${field}[${index}]`, value));
    return inner?.filter((fields) => fields !== undefined);
  }

  /** An object in this one. */
  inner(field: string): Fields | undefined {
    const value = this.value(field);
    return value === undefined ? undefined : this.#inner(field, value);
  }

  /** An object whose values are all text. */
  texts(field: string): Record<string, string> | undefined {
    const inner = this.inner(field);
    if (!inner) return undefined;
    const texts = inner.withoutNulls();
    const wrong = Object.keys(texts).find((name) => typeof texts[name] !== "string");
    if (wrong !== undefined) inner.complain(`${inner.name}.${wrong} is no string`);
    return texts as Record<string, string>;
  }

  /** All fields, as they were sent, known or not. */
  withoutNulls(): Record<string, unknown> {
    return Object.fromEntries(Object.entries(this.#object).filter(([, value]) => value !== null));
  }

  #check(field: string, value: unknown, kind: Kind): boolean {
    const [words, check] = kinds[kind];
    const right = check(value);
    if (!right) this.complain(`${this.name}: ${field} is no ${words}`);
    return right;
  }

  #array(field: string): unknown[] | undefined {
    const value = this.value(field);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) this.complain(`${this.name}: ${field} is no array`);
    return Array.isArray(value) ? value : undefined;
  }

  #inner(field: string, value: unknown): Fields | undefined {
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return new Fields(`${this.name}: ${field}`, value as Record<string, unknown>, this);
    this.complain(`${this.name}: ${field} is no object`);
    return undefined;
  }
}
