/**
 * What a build has made, sent to the boss in pieces before the build's result, which names each file with its length and
 * digest: only what fits both is kept there.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { glob, open } from "node:fs/promises";
import { basename, join } from "node:path";
import type { BuildOutput, Recipe, Response, Settings } from "../protocol.ts";

/** Of a file, in a message. */
const pieceBytes = 512 * 1024;
const mostFiles = 1000;

/** Patterns of what is kept of each build. */
export function keptPatterns({ keep = [], keep_outputs: whole }: Settings, { outputs }: Recipe): string[] {
  return [...new Set([...keep, ...(whole ? (outputs ?? []) : [])])];
}

/**
 * Sends the files of an output directory that fit one of the patterns. Each goes by its name alone, as U-Boot's buildman has
 * it: of several with one name, the first in alphabetical order.
 *
 * @param send resolves when the piece is on its way.
 * @throws {Error} if one cannot be read.
 */
export async function sendOutputs(
  directory: string,
  patterns: readonly string[],
  send: (piece: { name: string; data: string }) => Promise<void>,
): Promise<BuildOutput[]> {
  const found = new Map<string, string>();
  for (const pattern of patterns) {
    const paths: string[] = [];
    for await (const path of glob(pattern, { cwd: directory })) paths.push(path);
    for (const path of paths.sort())
      if (!found.has(basename(path)) && found.size < mostFiles) found.set(basename(path), path);
  }
  const sent: BuildOutput[] = [];
  for (const [name, path] of found) {
    const output = await sendFile(join(directory, path), name, send);
    if (output) sent.push(output);
  }
  return sent;
}

async function sendFile(
  path: string,
  name: string,
  send: (piece: { name: string; data: string }) => Promise<void>,
): Promise<BuildOutput | undefined> {
  // Links lead to other places, and a pipe would wait for ever.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
  await using file = await open(path, flags).catch(() => undefined);
  if (!file || !(await file.stat()).isFile()) return undefined;
  const hash = createHash("sha256");
  const buffer = Buffer.alloc(pieceBytes);
  let size = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, pieceBytes);
    if (bytesRead === 0 && size > 0) break;
    const piece = buffer.subarray(0, bytesRead);
    hash.update(piece);
    size += bytesRead;
    await send({ name, data: piece.toString("base64") });
    if (bytesRead === 0) break; // it is empty, and there all the same
  }
  return { name, size, sha256: hash.digest("hex") };
}

/** The message that a piece of a file is. */
export function pieceOf(board: string, commit_upto: number, piece: { name: string; data: string }): Response {
  return { resp: "build_output", board, commit_upto, ...piece };
}
