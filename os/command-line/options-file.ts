/** A YAML file that has declared options for its keys. */
import { readConfiguration } from "./configuration.ts";
import { UsageFailure } from "../failure.ts";
import { nearestWord } from "./nearest.ts";
import { readOptionValue, type OptionDeclaration, type OptionValues } from "./options.ts";

/** What such a file says. */
export interface OptionsFile {
  /** Only of the keys that stand in it. */
  values: OptionValues;
  /** `file:line` of a key, or of an item of its list. */
  locate(key: string, item?: number): string;
}

/**
 * Reads a configuration file whose keys are the names of options; lists are the values of those that may repeat.
 *
 * @throws {UsageFailure} naming file, line, column and key of what is wrong.
 */
export function readOptionsFile(file: string, options: readonly OptionDeclaration[]): OptionsFile {
  const configuration = readConfiguration(file);
  const fail = (path: (string | number)[], reason: string) => {
    const key = path.length ? `${path[0]}: ` : "";
    return new UsageFailure(`use configuration '${file}'`, `${configuration.locate(path)}: ${key}${reason}`);
  };
  const content = configuration.value;
  if (typeof content !== "object" || content === null || Array.isArray(content))
    throw fail([], "expected keys with values");
  const values: OptionValues = {};
  for (const [key, value] of Object.entries(content)) {
    const option = options.find(({ name }) => name === key);
    if (!option) throw fail([key], unknownKey(key, options));
    if (option.commandLineOnly) throw fail([key], "it can only be given on the command line");
    const read = (item: unknown, path: (string | number)[]) => {
      const result = readOptionValue(option, item);
      if ("error" in result) throw fail(path, result.error);
      return result.value;
    };
    if (!option.repeat) values[key] = read(value, [key]);
    else if (!Array.isArray(value)) throw fail([key], "expected a list");
    else values[key] = value.map((item, index) => read(item, [key, index]) as string);
  }
  return {
    values,
    locate: (key, item) =>
      configuration.locate(item === undefined ? [key] : [key, item]).replace(/:\d+$/, ""),
  };
}

function unknownKey(key: string, options: readonly OptionDeclaration[]): string {
  const known = options.filter(({ commandLineOnly }) => !commandLineOnly).map(({ name }) => name);
  const meant = nearestWord(key.replace(/^-+/, "").replaceAll("_", "-").toLowerCase(), known);
  return `unknown key${meant === undefined ? "" : ` (did you mean '${meant}'?)`}`;
}
