/** Lists of boards, and choosing from them by terms as U-Boot's buildman does. */
import { UsageFailure } from "../../os/failure.ts";

/** A board of U-Boot, or a configuration of Linux. */
export interface Board {
  /** Its name as a target. */
  readonly target: string;
  readonly arch: string;
  /** What terms are compared with: target, architecture, cpu, board, vendor, SoC, configuration; what it has none of is empty. */
  readonly properties: readonly string[];
}

/** What is asked for. */
export interface BoardSelection {
  /** Regular expressions joined by `&`; a board is chosen if one of them fits. */
  terms: readonly string[];
  /** Names of boards, chosen besides. */
  boards: readonly string[];
  /** Regular expressions of what is not to be built. */
  exclude: readonly string[];
}

/** What was chosen. */
export interface SelectedBoards {
  boards: Board[];
  /** How many boards each term has brought; one that several terms fit counts for the first of them. */
  counts: Map<string, number>;
}

/**
 * Reads the list that buildman and, before it, genboardscfg make: status, architecture, cpu, SoC, vendor, board, target,
 * configuration and maintainers, one board a line; `-` stands for none.
 */
export function parseBoardList(text: string): Board[] {
  return text.split("\n").flatMap((line) => {
    const fields = line.startsWith("#") ? [] : line.split(/\s+/).filter(Boolean);
    const [, arch = "", cpu = "", soc = "", vendor = "", board = "", target, config = ""] = fields.map(
      (field) => (field === "-" ? "" : field),
    );
    if (target === undefined || target === "") return [];
    return [{ target, arch, properties: [target, arch, cpu, board, vendor, soc, config] }];
  });
}

/**
 * Chooses boards in the order of the list; without terms and names, all that are not excluded.
 *
 * @throws {UsageFailure} for a term that is none, and for a name that no board has.
 */
export function selectBoards(
  list: readonly Board[],
  { terms, boards: names, exclude }: BoardSelection,
): SelectedBoards {
  const known = new Set(list.map(({ target }) => target));
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined)
    throw new UsageFailure(`build board '${unknown}'`, "the tree has none of that name");
  const parsed = readTerms(terms);
  const excluded = exclude.map(expression);
  const counts = new Map(parsed.map(({ text }) => [text, 0]));
  const named = new Set(names);
  const chosen = list.filter(({ target, properties }) => {
    if (excluded.some((fits) => properties.some(fits))) return false;
    const term = parsed.find(({ all }) => all.every((fits) => properties.some(fits)));
    if (term) counts.set(term.text, (counts.get(term.text) ?? 0) + 1);
    return term !== undefined || named.has(target) || (parsed.length === 0 && names.length === 0);
  });
  return { boards: chosen, counts };
}

/** Fits a property from its first character on. */
type Expression = (property: string) => boolean;

interface Term {
  text: string;
  all: Expression[];
}

/** Words are alternatives; `&` joins them, with blanks around it or not, even from one argument to the next. */
function readTerms(terms: readonly string[]): Term[] {
  const words = terms.flatMap((term) =>
    term.split(/\s+/).flatMap((word) => word.split(/(&)/).filter(Boolean)),
  );
  const read: string[][] = [];
  let joins = false;
  for (const word of words) {
    if (word === "&") {
      if (read.length === 0)
        throw new UsageFailure(`choose boards by '${terms.join(" ")}'`, "it begins with '&'");
      joins = true;
    } else if (joins) {
      read.at(-1)!.push(word);
      joins = false;
    } else read.push([word]);
  }
  if (joins) throw new UsageFailure(`choose boards by '${terms.join(" ")}'`, "it ends with '&'");
  return read.map((all) => ({ text: all.join("&"), all: all.map(expression) }));
}

/** What buildman takes is written for Python: what differs, and somebody may write, is said in our words. */
function expression(text: string): Expression {
  const [, flags = "", rest = text] = /^\(\?([is]+)\)(.*)$/s.exec(text) ?? [];
  const ours = rest.replaceAll("(?P<", "(?<").replace(/\\[AZ]/g, (end) => (end === "\\A" ? "^" : "$"));
  let pattern: RegExp;
  try {
    pattern = new RegExp(ours, `${flags}y`);
  } catch (error) {
    throw new UsageFailure(`choose boards by '${text}'`, (error as Error).message, { cause: error });
  }
  return (property) => {
    pattern.lastIndex = 0;
    return pattern.test(property);
  };
}
