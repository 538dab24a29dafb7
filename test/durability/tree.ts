/** What is in a directory, by file and not by name: so that a file is the same whatever it is called meanwhile. */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

/** Identifies a file for as long as it exists: its inode, and when that was made, as numbers are used again. */
export type FileId = string;

export interface Tree {
  readonly root: FileId;
  /** Entries of each directory, by name. */
  readonly entries: ReadonlyMap<FileId, ReadonlyMap<string, FileId>>;
  /** What plain files hold. */
  readonly contents: ReadonlyMap<FileId, Buffer>;
  readonly links: ReadonlyMap<FileId, string>;
}

export function fileId({ ino, birthtimeNs }: { ino: bigint; birthtimeNs: bigint }): FileId {
  return `${ino}:${birthtimeNs}`;
}

/** Reads a directory whole; what vanishes meanwhile was not there. Sockets and devices are passed over. */
export function readTree(path: string): Tree {
  const entries = new Map<FileId, Map<string, FileId>>();
  const contents = new Map<FileId, Buffer>();
  const links = new Map<FileId, string>();
  const read = (at: string): FileId | undefined => {
    const found = lstatSync(at, { bigint: true, throwIfNoEntry: false });
    if (!found) return undefined;
    const id = fileId(found);
    if (found.isSymbolicLink()) links.set(id, readlinkSync(at));
    else if (found.isFile()) contents.set(id, readFileSync(at));
    else if (!found.isDirectory()) return undefined;
    else {
      const inside = new Map<string, FileId>();
      entries.set(id, inside);
      for (const name of readdirSync(at)) {
        const inner = read(join(at, name));
        if (inner !== undefined) inside.set(name, inner);
      }
    }
    return id;
  };
  const root = read(path);
  if (root === undefined) throw new Error(`no directory '${path}'`);
  return { root, entries, contents, links };
}

/** Makes the files of a tree in a directory that is there. */
export function writeTree(tree: Tree, path: string): void {
  for (const [name, id] of tree.entries.get(tree.root)!) writeNode(tree, id, join(path, name));
}

function writeNode(tree: Tree, id: FileId, path: string): void {
  const link = tree.links.get(id);
  const content = tree.contents.get(id);
  if (link !== undefined) symlinkSync(link, path);
  else if (content !== undefined) writeFileSync(path, content, { mode: 0o600 });
  else {
    mkdirSync(path, { mode: 0o700 });
    writeTree({ ...tree, root: id }, path);
  }
}

/** The tree as text, the same for trees of which nobody could tell the difference. */
export function describeTree(tree: Tree, id: FileId = tree.root): string {
  const inside = tree.entries.get(id);
  if (!inside) return tree.links.get(id) ?? tree.contents.get(id)!.toString("base64");
  const lines = [...inside].sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${lines.map(([name, inner]) => `${JSON.stringify(name)}:${describeTree(tree, inner)}`).join(",")}}`;
}
