import { cellOf, type Cell } from "./cell.ts";
import type { StoredResult } from "./store.ts";
import type { WarningFilter } from "./warning-filter.ts";

/** What is remembered in all; other results are read again. */
const mostResults = 50_000;
const mostCharacters = 8_000_000;

/** What is remembered of a result. */
export interface RememberedCell {
  readonly cell: Cell;
  readonly sizes: string | undefined;
}

/**
 * What the summary needs of a run's results, kept as they come: reading them back costs more than all else of it. Most are
 * alike, without a word and of the size of the one before, and share what is kept.
 */
export class CellMemory {
  readonly #results: (RememberedCell | undefined)[][] = [];
  /** Of builds that said nothing, by host and sizes. */
  readonly #silent = new Map<string, RememberedCell>();
  readonly #filter: WarningFilter | undefined;
  #resultsLeft = mostResults;
  #charactersLeft = mostCharacters;

  /** @param filter takes out of standard error what does not count. */
  constructor(filter?: WarningFilter) {
    this.#filter = filter;
  }

  /** @param target position in the matrix, as is `commit`. */
  note(target: number, commit: number, stored: StoredResult): void {
    const { sizes } = stored;
    const result = this.#filter ? { ...stored, stderr: this.#filter(stored.stderr) } : stored;
    // Lines are parts of the text that they come from, and keep it all.
    this.#charactersLeft -= result.stderr.length;
    if (--this.#resultsLeft < 0 || this.#charactersLeft < 0) return;
    const isSilent = result.stderr === "" && result.returnCode === 0;
    (this.#results[target] ??= [])[commit] = isSilent
      ? this.#silentCell(result)
      : { cell: cellOf(result), sizes };
  }

  get(target: number, commit: number): RememberedCell | undefined {
    return this.#results[target]?.[commit];
  }

  #silentCell(result: StoredResult): RememberedCell {
    const key = `${result.host}\n${result.sizes ?? ""}`;
    const known = this.#silent.get(key);
    if (known) return known;
    this.#charactersLeft -= key.length;
    const remembered = { cell: cellOf(result), sizes: result.sizes };
    this.#silent.set(key, remembered);
    return remembered;
  }
}
