/**
 * What is told of a build besides its messages: files of its configuration, its environment, and the sizes of functions
 * and sections, each by the name that U-Boot's buildman looks for.
 */
import { constants } from "node:fs";
import { open, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { quote } from "../../os/text/shell-word.ts";
import type { Detail, Recipe } from "../protocol.ts";
import { outputDirectory } from "./recipes.ts";

/** What of a file, or of a list of functions, is kept, in bytes. */
const keptFileBytes = 1024 * 1024;
const keptSymbolsBytes = 16 * 1024 * 1024;

/** What is needed of a build that is there. */
interface BuiltTarget {
  recipe: Recipe;
  /** The output directory, absolute. */
  output: string;
  /** Runs a command of the recipe's kind in the source's top directory; its standard output, if it has succeeded. */
  shell: (command: string, keepBytes: number) => Promise<string | undefined>;
}

/** Those details of a build that are asked for and there are, as file name to content. */
export async function detailsOf(
  built: BuiltTarget,
  asked: readonly Detail[],
): Promise<Record<string, string>> {
  return {
    ...(asked.includes("config") ? await configurationOf(built) : {}),
    ...(asked.includes("environment") ? await environmentOf(built) : {}),
    ...(asked.includes("functions") ? await symbolsOf(built) : {}),
  };
}

/** The configuration's files that there are; of several with one name, the others have their folder's in it. */
export async function configurationOf({
  recipe,
  output,
}: Pick<BuiltTarget, "recipe" | "output">): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const path of recipe.config ?? []) {
    const text = await beginningOf(join(output, path));
    if (text === undefined) continue;
    files[Object.hasOwn(files, basename(path)) ? nameWithStage(path) : basename(path)] = text;
  }
  return files;
}

function nameWithStage(path: string): string {
  return basename(path).replace(/(?=\.[^.]*$)|$/, `-${path.split("/")[0]!}`);
}

/** The names of all of them, for whoever cannot see which there are. */
export function configurationNames({
  config = [],
}: Pick<Recipe, "config">): { path: string; name: string }[] {
  const taken = new Set<string>();
  return config.map((path) => {
    const name = taken.has(basename(path)) ? nameWithStage(path) : basename(path);
    taken.add(name);
    return { path, name };
  });
}

/** `uboot.env`: words `NAME=VALUE`, each with a NUL at its end. */
async function environmentOf({ recipe, output, shell }: BuiltTarget): Promise<Record<string, string>> {
  if (recipe.environment === undefined) return {};
  const path = join(output, "uboot.env");
  await rm(path, { force: true }); // of an earlier commit
  if ((await shell(recipe.environment, keptFileBytes)) === undefined) return {};
  const text = await beginningOf(path);
  return text ? { "uboot.env": text } : {};
}

/** `<image>.sizes` has what nm says of an image, and `<image>.objdump` its sections. */
async function symbolsOf({ recipe, output, shell }: BuiltTarget): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const image of recipe.images ?? []) {
    if ((await beginningOf(join(output, image), 1)) === undefined) continue;
    const [name, path] = [image.replaceAll("/", "-"), quote(`${outputDirectory}/${image}`)];
    const functions = await shell(`{cross}nm --size-sort ${path}`, keptSymbolsBytes);
    if (functions) files[`${name}.sizes`] = functions;
    const sections = await shell(`{cross}objdump -h ${path}`, keptFileBytes);
    // The image by its own name, as if it were looked at where it lies.
    if (sections) files[`${name}.objdump`] = sections.replaceAll(`${outputDirectory}/`, "");
  }
  return files;
}

/** A file's text, up to a limit; undefined if there is no such file. */
async function beginningOf(path: string, mostBytes = keptFileBytes): Promise<string | undefined> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe would wait for ever
    const status = await file.stat();
    if (!status.isFile()) return undefined;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(status.size, mostBytes)));
    return buffer.toString("utf8", 0, bytesRead);
  } catch {
    return undefined;
  }
}
