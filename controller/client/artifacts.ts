/** `croft artifacts`: what a build has made, listed or fetched. */
import { createHash } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { makeCommand } from "../../os/command-line/command.ts";
import { givenValues, type OptionDeclaration } from "../../os/command-line/options.ts";
import { attempt as trying, Failure } from "../../os/failure.ts";
import { randomTail } from "../../os/files/random-tail.ts";
import { formatBytes } from "../../os/text/size.ts";
import { formatTable } from "../../os/text/table.ts";
import { printable } from "../../os/text/terminal-text.ts";
import { addClientOptions, connectionOf, type Connection } from "./connection.ts";
import { getDetails, type ArtifactAnswer } from "./details.ts";
import { buildId } from "./watch.ts";

/** The options of `croft artifacts`. */
export const artifactsOptions: readonly OptionDeclaration[] = [
  { name: "download", kind: "path", value: "DIR", prose: "fetch them into this directory, and check them" },
  {
    name: "attempt",
    kind: "integer",
    value: "N",
    minimum: 1,
    prose: "those of this attempt (default: the last one that has any)",
  },
  { name: "json", kind: "flag", prose: "print what the controller says of them" },
];

/** The command, for the table of commands. */
export function artifactsCommand(): Command {
  const command = makeCommand("croft artifacts", "list or fetch what a build has made").argument(
    "<ID>",
    "number or URL of the build",
  );
  return addClientOptions(command, artifactsOptions).action(async (text: string) => {
    const { download, attempt, json } = givenValues(command, artifactsOptions);
    const id = buildId(text);
    const connection = connectionOf(command);
    const found = chosen((await getDetails(connection, id)).artifacts, attempt as number | undefined);
    if (typeof download === "string")
      for (const artifact of found) await fetchArtifact(connection, id, artifact, download);
    if (json) process.stdout.write(`${JSON.stringify(found, undefined, 2)}\n`);
    else process.stdout.write(listing(found));
  });
}

function chosen(artifacts: readonly ArtifactAnswer[], attempt: number | undefined): ArtifactAnswer[] {
  const wanted = attempt ?? Math.max(...artifacts.map((one) => one.attempt));
  return artifacts.filter((one) => one.attempt === wanted);
}

function listing(artifacts: readonly ArtifactAnswer[]): string {
  if (artifacts.length === 0) return "no artifacts\n";
  const rows = artifacts.map(({ name, bytes, sha256 }) => [printable(name), formatBytes(bytes), sha256]);
  return formatTable([["ARTIFACT", "SIZE", "SHA-256"], ...rows]);
}

/**
 * Fetches an artifact, under its own name below a directory. It has that name only once it is whole and has the digest
 * that the controller told.
 */
async function fetchArtifact(
  connection: Connection,
  id: number,
  { name, sha256 }: ArtifactAnswer,
  directory: string,
): Promise<void> {
  const what = `fetch artifact '${name}'`;
  const path = placeFor(directory, name);
  if (path === undefined) throw new Failure(what, "its name leads out of the directory");
  const temporary = join(dirname(path), `.${basename(path)}.${randomTail()}`);
  const names = name.split("/").map(encodeURIComponent).join("/");
  const pieces = connection.stream(`/api/v1/builds/${id}/artifacts/${sha256}/${names}`);
  await trying(what, mkdir(dirname(path), { recursive: true }));
  try {
    const digest = await trying(what, writeNew(temporary, pieces));
    if (digest !== sha256) throw new Failure(what, `it has the SHA-256 ${digest}, and not ${sha256}`);
    await trying(what, rename(temporary, path));
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Where an artifact goes; undefined if its name would lead elsewhere. */
export function placeFor(directory: string, name: string): string | undefined {
  const parts = name.split("/");
  if (parts.some((part) => part === "" || part === "." || part === ".." || part.includes("\0")))
    return undefined;
  return join(resolve(directory), ...parts);
}

/** Writes a file that was not there. @returns its SHA-256 in hexadecimal digits. */
async function writeNew(path: string, pieces: AsyncIterable<Buffer>): Promise<string> {
  await using file = await open(path, "wx");
  const hash = createHash("sha256");
  for await (const piece of pieces) {
    hash.update(piece);
    await file.writeFile(piece);
  }
  await file.sync();
  return hash.digest("hex");
}
