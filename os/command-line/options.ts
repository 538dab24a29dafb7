/**
 * Options are declared once, as data; the command line parser, the YAML schema, `--help`, man page and manual
 * derive from the declaration.
 */
import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option as CommanderOption } from "commander";
import { withoutUndefined } from "../without-undefined.ts";

/** One option of a command. */
export interface OptionDeclaration {
  /** Without dashes, e.g. `build-timeout`. */
  name: string;
  /** A `path` is a string that is made absolute, and never empty. */
  kind: "flag" | "string" | "path" | "integer" | "choice";
  /** One letter. */
  short?: string;
  /** What stands for the value in the help, e.g. `SECONDS`. */
  value?: string;
  default?: string | number | boolean;
  /** The default in words, where it is not one value that says it all. */
  defaultWords?: string;
  /** Bounds of an integer, inclusive. */
  minimum?: number;
  maximum?: number;
  choices?: readonly string[];
  /** Words that may stand instead of an integer. */
  words?: readonly string[];
  /** May stand several times; the value is a list. */
  repeat?: boolean;
  /** Only on the command line, never in a configuration file (modes, not settings). */
  commandLineOnly?: boolean;
  /** A stricter check of a string; returns what is wrong, or undefined. */
  check?: (value: string) => string | undefined;
  /** One sentence, lower case, without the full stop. */
  prose: string;
  /** More sentences, for the manual. */
  details?: string;
  /** Heading that the option stands under in help and manual. */
  group?: string;
}

/** Option values by the option's name. */
export type OptionValues = Record<string, string | number | boolean | string[] | undefined>;

/** An option's value, or what is wrong with it in words. */
export type ReadValue = { value: string | number | boolean } | { error: string };

/** Declarations under a heading. */
export function groupOf(group: string, options: readonly OptionDeclaration[]): OptionDeclaration[] {
  return options.map((option) => ({ ...option, group }));
}

/** An integer of at least 1; at most a week if it is a number of seconds. */
export function integerOption(
  name: string,
  value: string,
  byDefault: number | undefined,
  prose: string,
): OptionDeclaration {
  return {
    ...{ name, kind: "integer", value, minimum: 1, prose },
    ...(value === "SECONDS" ? { maximum: 7 * 24 * 3600 } : {}),
    ...withoutUndefined({ default: byDefault }),
  };
}

/** A check for names of files, programs and the like. */
export function checkNotEmpty(text: string): string | undefined {
  return text === "" ? "expected a name, not nothing" : undefined;
}

/** Checks one value of an option as it stands on the command line; a flag has none. */
function readOptionText(option: OptionDeclaration, text: string): ReadValue {
  if (option.kind !== "integer") return readOptionValue(option, text);
  return readOptionValue(option, /^\d{1,15}$/.test(text) ? Number(text) : text);
}

/** Checks one value of an option as a configuration file has it: with a type of its own. */
export function readOptionValue(option: OptionDeclaration, value: unknown): ReadValue {
  switch (option.kind) {
    case "flag":
      return typeof value === "boolean" ? { value } : { error: "expected true or false" };
    case "integer": {
      if (option.words?.includes(String(value))) return { value: String(value) };
      const maximum = option.maximum ?? Number.MAX_SAFE_INTEGER;
      const right = typeof value === "number" && Number.isSafeInteger(value);
      return right && value >= (option.minimum ?? 0) && value <= maximum
        ? { value }
        : { error: `expected a whole number ${describeRange(option)}` };
    }
    case "choice":
      // YAML reads `false` and `true` as booleans where the option means the words.
      return option.choices!.includes(String(value))
        ? { value: String(value) }
        : { error: `expected one of ${option.choices!.join(", ")}` };
    case "path":
      if (typeof value !== "string" || value === "" || value.includes("\0"))
        return { error: "expected a path" };
      return { value: resolve(value) };
    case "string": {
      if (typeof value !== "string") return { error: "expected text; what looks like a number needs quotes" };
      const error = option.check?.(value);
      return error === undefined ? { value } : { error };
    }
  }
}

/** `from 1 to 99` or `of at least 1`, and `, or auto` where words are taken as well. */
export function describeRange({ minimum = 0, maximum, words = [] }: OptionDeclaration): string {
  const range = maximum === undefined ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`;
  return [range, ...words].join(", or ");
}

/** Adds declared options to a command; defaults are left to {@link withDefaults}, so that a given value is known as such. */
export function addOptions(command: Command, options: readonly OptionDeclaration[]): Command {
  for (const option of options) command.addOption(toCommander(option));
  return command;
}

/** An option that knows what it was declared as. */
export class DeclaredOption extends CommanderOption {
  readonly declaration: OptionDeclaration;

  constructor(declaration: OptionDeclaration) {
    const notes = describeNotes(declaration);
    super(optionUsage(declaration), declaration.prose + (notes.length ? ` (${notes.join("; ")})` : ""));
    this.declaration = declaration;
  }
}

function toCommander(option: OptionDeclaration): CommanderOption {
  const result = new DeclaredOption(option);
  if (option.group !== undefined) result.helpGroup(`${option.group}:`);
  // An option that is called no-x is one of its own here; commander would make it the opposite of an option x.
  result.negate = false;
  if (option.kind === "flag") return result;
  return result.argParser<unknown>((text, previous) => {
    const read = readOptionText(option, text);
    if ("error" in read) throw new InvalidArgumentError(read.error);
    return option.repeat ? [...((previous as unknown[] | undefined) ?? []), read.value] : read.value;
  });
}

/** `-s, --long <VALUE>`, as the help shows it. */
export function optionUsage({ name, short, kind, value = "VALUE" }: OptionDeclaration): string {
  return (short ? `-${short}, --${name}` : `--${name}`) + (kind === "flag" ? "" : ` <${value}>`);
}

/** What help and manual say besides the prose: choices, whether it may repeat, the default. */
export function describeNotes(option: OptionDeclaration): string[] {
  const notes: string[] = [];
  if (option.kind === "choice") notes.push(option.choices!.join(", "));
  if (option.repeat) notes.push("may repeat");
  const byDefault = describeDefault(option);
  if (byDefault !== undefined) notes.push(`default: ${byDefault}`);
  return notes;
}

/** The default as help and manual show it; undefined for a flag, and for an option without one. */
export function describeDefault(option: OptionDeclaration): string | undefined {
  if (option.defaultWords !== undefined) return option.defaultWords;
  if (option.kind === "flag" || option.default === undefined || option.default === "") return undefined;
  return String(option.default);
}

/** The values given to a parsed command, by option name. */
export function givenValues(command: Command, options: readonly OptionDeclaration[]): OptionValues {
  const values: OptionValues = {};
  for (const option of options) {
    const value: unknown = command.getOptionValue(camelCase(option.name));
    if (value !== undefined) values[option.name] = value as string;
  }
  return values;
}

/** Fills in declared defaults. */
export function withDefaults(values: OptionValues, options: readonly OptionDeclaration[]): OptionValues {
  const all: OptionValues = {};
  for (const option of options)
    all[option.name] = values[option.name] ?? (option.repeat ? [] : option.default);
  return all;
}

/** `build-timeout` to `buildTimeout`. */
function camelCase(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
