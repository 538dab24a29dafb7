/**
 * What a disk may hold after a power cut, told from a record of what was done and when what was synced.
 *
 * The model promises less than any file system does. What was synced is there. Of a file that was not, there is what
 * it held at its last sync, or what it holds now, or half of that, or zeros of that length. Of the changes to
 * directories that were not synced (of the directory itself, by its own fsync), any may have been made and any not; a
 * rename is one change, and synced with either of its directories. So a file that was synced and whose directory was
 * not may have no name.
 */
import type { FileId, Tree } from "./tree.ts";

/** A change of directory entries, there as a whole or not at all; without `to`, the name is gone. */
type Change = readonly {
  readonly directory: FileId;
  readonly name: string;
  readonly to: FileId | undefined;
}[];
type Entries = Map<FileId, Map<string, FileId>>;

const fates = ["as synced", "as written", "half", "zeros"] as const;

/** Follows a record, and says at each step what a power cut might leave. */
export class Disk {
  #live: Tree;
  readonly #synced: Entries;
  readonly #syncedContents: Map<FileId, Buffer>;
  /** As last seen, of files without a name too: that one may come back. */
  readonly #contents: Map<FileId, Buffer>;
  readonly #links: Map<FileId, string>;
  #pending: Change[] = [];

  /** @param start all of it is on the disk. */
  constructor(start: Tree) {
    this.#live = start;
    this.#synced = copy(start.entries);
    this.#syncedContents = new Map(start.contents);
    this.#contents = new Map(start.contents);
    this.#links = new Map(start.links);
  }

  changed(now: Tree): void {
    this.#pending.push(...changesBetween(this.#live, now));
    for (const [id, content] of now.contents) this.#contents.set(id, content);
    for (const [id, target] of now.links) this.#links.set(id, target);
    this.#live = now;
  }

  synced(id: FileId): void {
    const content = this.#contents.get(id);
    if (content !== undefined) this.#syncedContents.set(id, content);
    else this.#make(this.#pending.filter((change) => change.some(({ directory }) => directory === id)));
  }

  allSynced(): void {
    this.#make(this.#pending);
    for (const [id, content] of this.#contents) this.#syncedContents.set(id, content);
  }

  #make(changes: readonly Change[]): void {
    for (const change of changes) apply(this.#synced, change);
    this.#pending = this.#pending.filter((change) => !changes.includes(change));
  }

  /** All that is tried of what a power cut may leave now. */
  *remains(): Generator<{ tree: Tree; what: string }> {
    for (const made of choices(this.#pending)) {
      const entries = copy(this.#synced);
      for (const change of made) apply(entries, change);
      const changes = `${made.length} of ${this.#pending.length} unsynced changes`;
      for (const fate of fates) yield { tree: this.#tree(entries, fate), what: `${changes}, files ${fate}` };
    }
  }

  #tree(known: Entries, fate: (typeof fates)[number]): Tree {
    const entries: Entries = new Map();
    const contents = new Map<FileId, Buffer>();
    const links = new Map<FileId, string>();
    const reach = (id: FileId): void => {
      if (entries.has(id)) return;
      const [link, content] = [this.#links.get(id), this.#contents.get(id)];
      if (link !== undefined) links.set(id, link);
      else if (content !== undefined) contents.set(id, this.#contentOf(id, content, fate));
      else {
        const inside = known.get(id) ?? new Map<string, FileId>();
        entries.set(id, inside);
        for (const inner of inside.values()) reach(inner);
      }
    };
    reach(this.#live.root);
    return { root: this.#live.root, entries, contents, links };
  }

  #contentOf(id: FileId, written: Buffer, fate: (typeof fates)[number]): Buffer {
    const synced = this.#syncedContents.get(id) ?? Buffer.alloc(0);
    if (fate === "as synced" || written.equals(synced)) return synced;
    if (fate === "as written") return written;
    return fate === "half" ? written.subarray(0, written.length >> 1) : Buffer.alloc(written.length);
  }
}

/** Which of the changes were made: none, all, those before a moment, a single one, all but one. */
function choices(changes: readonly Change[]): Change[][] {
  const found: Change[][] = [[...changes]];
  for (const [at, change] of changes.entries())
    found.push(changes.slice(0, at), [change], changes.toSpliced(at, 1));
  return found;
}

function apply(entries: Entries, change: Change): void {
  for (const { directory, name, to } of change) {
    const inside = entries.get(directory) ?? new Map<string, FileId>();
    entries.set(directory, inside);
    if (to === undefined) inside.delete(name);
    else inside.set(name, to);
  }
}

function changesBetween(before: Tree, now: Tree): Change[] {
  const gone = new Map<FileId, { directory: FileId; name: string; to: undefined }>();
  const changes: Change[] = [];
  for (const [directory, inside] of before.entries)
    for (const [name, id] of inside)
      if (now.entries.get(directory)?.get(name) !== id) gone.set(id, { directory, name, to: undefined });
  for (const [directory, inside] of now.entries)
    for (const [name, to] of inside) {
      if (before.entries.get(directory)?.get(name) === to) continue;
      const from = gone.get(to);
      gone.delete(to);
      const replaced = before.entries.get(directory)?.get(name);
      if (replaced !== undefined) gone.delete(replaced);
      changes.push([...(from ? [from] : []), { directory, name, to }]);
    }
  return [...changes, ...[...gone.values()].map((entry) => [entry])];
}

function copy(entries: Tree["entries"]): Entries {
  return new Map([...entries].map(([id, inside]) => [id, new Map(inside)]));
}
