/**
 * Options are declared once, as data; the command line parser, the YAML schema, `--help` and the manual derive
 * from the declaration.
 */
import { Command, InvalidArgumentError, Option as CommanderOption } from "commander";

/** One option of a command. */
export interface OptionDeclaration {
  /** Without dashes, e.g. `build-timeout`. */
  name: string;
  kind: "flag" | "string" | "integer" | "choice";
  /** One letter. */
  short?: string;
  /** What stands for the value in the help, e.g. `SECONDS`. */
  value?: string;
  default?: string | number | boolean;
  /** Bounds of an integer, inclusive. */
  minimum?: number;
  maximum?: number;
  choices?: readonly string[];
  /** May stand several times; the value is a list. */
  repeat?: boolean;
  /** Only on the command line, never in a configuration file (modes, not settings). */
  commandLineOnly?: boolean;
  /** A stricter check of a string; returns what is wrong, or undefined. */
  check?: (value: string) => string | undefined;
  /** One sentence, lower case, without the full stop. */
  prose: string;
}

/** Option values by the option's name. */
export type OptionValues = Record<string, string | number | boolean | string[] | undefined>;

/**
 * Checks one value of an option, as text from the command line or as a scalar from a configuration file.
 *
 * @returns the typed value, or `{error}` with the reason in words.
 */
export function readOptionValue(
  option: OptionDeclaration,
  value: unknown,
): { value: string | number | boolean } | { error: string } {
  switch (option.kind) {
    case "flag":
      return typeof value === "boolean" ? { value } : { error: "expected true or false" };
    case "integer": {
      const number = typeof value === "number" ? value : /^\d+$/.test(String(value)) ? Number(value) : NaN;
      const minimum = option.minimum ?? 0;
      const maximum = option.maximum ?? Number.MAX_SAFE_INTEGER;
      if (!Number.isSafeInteger(number) || number < minimum || number > maximum)
        return { error: `expected a whole number ${range(option)}` };
      return { value: number };
    }
    case "choice":
      // YAML reads `false` and `true` as booleans where the option means the words.
      return option.choices!.includes(String(value))
        ? { value: String(value) }
        : { error: `expected one of ${option.choices!.join(", ")}` };
    case "string": {
      if (typeof value !== "string") return { error: "expected text" };
      const error = option.check?.(value);
      return error === undefined ? { value } : { error };
    }
  }
}

function range(option: OptionDeclaration): string {
  if (option.maximum === undefined) return `of at least ${option.minimum ?? 0}`;
  return `from ${option.minimum ?? 0} to ${option.maximum}`;
}

/** Adds declared options to a command; defaults are left to {@link withDefaults}, so that a given value is known as such. */
export function addOptions(command: Command, options: readonly OptionDeclaration[]): Command {
  for (const option of options) command.addOption(toCommander(option));
  return command;
}

function toCommander(option: OptionDeclaration): CommanderOption {
  const long = `--${option.name}`;
  const flags =
    (option.short ? `-${option.short}, ${long}` : long) +
    (option.kind === "flag" ? "" : ` <${option.value ?? "VALUE"}>`);
  const result = new CommanderOption(flags, option.prose + describeDefault(option));
  if (option.kind === "flag") return result;
  return result.argParser<unknown>((text, previous) => {
    const read = readOptionValue(option, text);
    if ("error" in read) throw new InvalidArgumentError(read.error);
    return option.repeat ? [...((previous as unknown[] | undefined) ?? []), read.value] : read.value;
  });
}

function describeDefault(option: OptionDeclaration): string {
  const notes: string[] = [];
  if (option.kind === "choice") notes.push(option.choices!.join(", "));
  if (option.repeat) notes.push("may repeat");
  if (option.default !== undefined && option.default !== "" && option.kind !== "flag")
    notes.push(`default: ${option.default}`);
  return notes.length ? ` (${notes.join("; ")})` : "";
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
export function camelCase(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
