/** What the texts of values mean. */
import { InvalidValue, type ValueReader } from "./fields.ts";

export const text: ValueReader<string> = (value) => value;

const nonEmpty: ValueReader<string> = (value) => {
  if (value === "") throw new InvalidValue("it is empty");
  return value;
};

/** Something to show: one line that is not empty. */
export const oneLine: ValueReader<string> = (value) => {
  if (value.includes("\n")) throw new InvalidValue("it has more than one line");
  return nonEmpty(value);
};

/** A name, version, URL…: not empty, and nothing in it separates words. */
export const word: ValueReader<string> = (value) => {
  if (/\s/.test(value)) throw new InvalidValue("it contains blanks");
  return nonEmpty(value);
};

/** A reader for values of a given form. */
export function matching(pattern: RegExp, expected: string): ValueReader<string> {
  return (value) => {
    if (!pattern.test(value)) throw new InvalidValue(`${expected} expected`);
    return value;
  };
}

/** A reader for one of several words. */
export function oneOf<const T extends string>(...choices: T[]): ValueReader<T> {
  return (value) => {
    const choice = choices.find((one) => one === value);
    if (choice === undefined)
      throw new InvalidValue(`${choices.map((one) => `'${one}'`).join(", ")} expected`);
    return choice;
  };
}

export const boolean: ValueReader<boolean> = (value) => oneOf("false", "true")(value) === "true";

/** A number of KiB, perhaps none. */
export const perhapsKibibytes: ValueReader<number> = (value) => (value === "0" ? 0 : kibibytes(value));

/** A positive number of KiB. */
export const kibibytes: ValueReader<number> = (value) => {
  const number = Number(value);
  if (!/^[1-9]\d*$/.test(value) || !Number.isSafeInteger(number))
    throw new InvalidValue("a positive number (of KiB) expected");
  return number;
};

/** The name of a machine, which is also that of its directory. */
export const machineName = matching(
  /^(?!\.)[A-Za-z0-9_+.-]+$/,
  "a name of letters, digits and '_', '+', '.', '-', not starting with '.',",
);

/** A checksum and the like: any text on one line, or none. */
export const token: ValueReader<string> = (value) => {
  if (value.includes("\n")) throw new InvalidValue("it has more than one line");
  return value;
};

/** A list separated by blanks or newlines; one level of single or double quotes, which keep blanks, is removed. */
export const argumentList: ValueReader<string[]> = (value) => splitArguments(value, false);

/**
 * The same list with the quotes as they were written: `x="a b"` and `"x=a b"` are one argument to a shell, and two different
 * things to build systems that read arguments in a language of their own. Joined with blanks it is the value again.
 */
export const writtenArgumentList: ValueReader<string[]> = (value) => splitArguments(value, true);

function splitArguments(value: string, keepQuotes: boolean): string[] {
  const list: string[] = [];
  let current: string | undefined;
  for (let at = 0; at < value.length; at++) {
    const character = value[at]!;
    if (character === '"' || character === "'") {
      const end = value.indexOf(character, at + 1);
      if (end < 0) throw new InvalidValue("a quote is not closed");
      current = (current ?? "") + (keepQuotes ? value.slice(at, end + 1) : value.slice(at + 1, end));
      at = end;
    } else if (character === " " || character === "\t" || character === "\n") {
      if (current !== undefined) list.push(current);
      current = undefined;
    } else current = (current ?? "") + character;
  }
  if (current !== undefined) list.push(current);
  return list;
}

/** The text of a list, quoted where it must be, so that {@link argumentList} gives the list back. */
export function formatArgumentList(list: readonly string[]): string {
  return list.map(quoted).join(" ");
}

function quoted(argument: string): string {
  if (argument !== "" && !/[ \t\n"']/.test(argument)) return argument;
  if (!argument.includes('"')) return `"${argument}"`;
  if (!argument.includes("'")) return `'${argument}'`;
  return argument
    .split(/("+)/)
    .filter((part) => part !== "")
    .map((part) => (part.startsWith('"') ? `'${part}'` : `"${part}"`))
    .join("");
}
