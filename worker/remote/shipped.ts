import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { dirname, extname, join, relative } from "node:path";

/** A file that a boss copies to a host. */
export interface ShippedFile {
  /** Relative to the directory that all are copied to. */
  path: string;
  content: Buffer;
}

/** The remote worker as files. */
export interface ShippedWorker {
  /** Changes whenever one of the files does; fit for a directory's name. */
  version: string;
  /** What Node.js is called with, relative to the directory. */
  entry: string;
  files: readonly ShippedFile[];
}

/** `import … from "…"` and `export … from "…"` at the beginning of a line; types vanish when the file is run. */
const imports = /^(?:import|export)(?! type\b)[^"';]*?\bfrom\s*"([^"]+)";/gms;

/** What makes Node.js take the files for ES modules. */
const packageJson = { path: "package.json", content: Buffer.from('{ "type": "module" }\n') };

/**
 * The remote worker with all that it imports, found by reading the files: sources and the published package alike.
 *
 * @throws an Error (a bug) if a file needs a package.
 */
export async function shippedWorker(): Promise<ShippedWorker> {
  const root = join(import.meta.dirname, "..", "..");
  const entry = join(import.meta.dirname, `main${extname(import.meta.filename)}`);
  const found = new Map<string, Buffer>();
  const visit = async (file: string): Promise<void> => {
    if (found.has(file)) return;
    const content = await readFile(file);
    found.set(file, content);
    for (const [, specifier = ""] of content.toString().matchAll(imports)) {
      if (specifier.startsWith("./") || specifier.startsWith("../"))
        await visit(join(dirname(file), specifier));
      else if (!specifier.startsWith("node:"))
        throw new Error(
          `${relative(root, file)} imports ${specifier}: the remote worker must do without packages`,
        );
    }
  };
  await visit(entry);
  const files = Array.from(found, ([path, content]) => ({ path: relative(root, path), content }));
  files.push(packageJson);
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  const hash = createHash("sha256");
  for (const { path, content } of files) hash.update(`${path}\0${content.length}\0`).update(content);
  return { version: hash.digest("hex").slice(0, 16), entry: relative(root, entry), files };
}
