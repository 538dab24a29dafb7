/** Sends a result's artifacts to where its controller takes them; what is not taken is told in the result. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { attempt, reasonOf } from "../../os/failure.ts";
import { namesIn } from "../../os/files/directories.ts";
import type { Log } from "../../os/log.ts";
import { requestFiles } from "../../manifests/limits.ts";
import { withoutSecrets } from "../../os/network/url.ts";
import { Rejection } from "../wire/answers.ts";
import type { HttpClient, RequestLimits, UploadedFile } from "../wire/http.ts";
import { withChange } from "./changed-request.ts";
import type { SpoolEntry } from "../task-state/spool.ts";

/** What it takes to send artifacts. */
export interface Sending {
  client: HttpClient;
  log: Log;
  limits: RequestLimits;
}

/**
 * Sends what waits of an entry's artifacts. What the controller takes or refuses for good is removed, the latter with a
 * word in the result.
 *
 * @throws {Failure} if one does not get through; it stays.
 */
export async function sendArtifacts(entry: SpoolEntry, sending: Sending): Promise<void> {
  const { uploadUrls } = entry.assignment;
  for (const type of await namesIn(entry.uploads)) {
    const directory = join(entry.uploads, type);
    const files = (await namesIn(directory)).map((name) => join(directory, name));
    const url = Object.hasOwn(uploadUrls, type) ? uploadUrls[type] : undefined;
    if (url === undefined) {
      sending.log.warn({ type, files: files.length }, "no upload URL for artifacts of this type");
      const lost = files.map((file) => `${type}/${basename(file)}\n`).join("");
      if (files.length > 0)
        await tell(
          entry,
          `The controller takes no artifacts of type '${type}'; not sent:\n${lost}`,
          "warning",
        );
    } else if (entry.assignment.uploadForm === "archives") {
      for (const file of files) await sendArchive(entry, { type, url, file }, sending);
    } else if (files.length > 0) await sendFiles(entry, { type, url, files }, sending);
    await attempt(`remove '${directory}'`, rm(directory, { recursive: true, force: true }));
  }
}

/** How many artifacts wait. */
export async function countArtifacts(entry: SpoolEntry): Promise<number> {
  let count = 0;
  for (const type of await namesIn(entry.uploads)) count += (await namesIn(join(entry.uploads, type))).length;
  return count;
}

/** As many at a time as a controller takes in one request; they are gone from here once they are there. */
async function sendFiles(
  entry: SpoolEntry,
  { type, url, files: all }: { type: string; url: string; files: readonly string[] },
  { client, log, limits }: Sending,
): Promise<void> {
  const { session, answer: challenge } = entry.assignment;
  for (let from = 0; from < all.length; from += requestFiles.sent) {
    const paths = all.slice(from, from + requestFiles.sent);
    const files: UploadedFile[] = [];
    for (const path of paths) files.push({ path, sha256: await digestOf(path) });
    const isTaken = await orTold(entry, url, log.child({ type, files: files.length }), () =>
      client.postArtifacts(url, { session, challenge }, files, limits),
    );
    for (const path of paths) await attempt(`remove '${path}'`, rm(path, { force: true }));
    // After they are gone: what is sent once more is not to be counted twice.
    if (isTaken) await entry.noteSentArtifacts((await entry.sentArtifacts()) + paths.length);
  }
}

/** One after another: each is gone from here once it is there. */
async function sendArchive(
  entry: SpoolEntry,
  { type, url, file: path }: { type: string; url: string; file: string },
  { client, log, limits }: Sending,
): Promise<void> {
  const { session, answer: challenge } = entry.assignment;
  const name = basename(path);
  const instance = name.replace(/\.(?:tar(?:\.[a-z0-9]+)?|t[gx]z|zip)$/, "");
  const file = { path, sha256: await digestOf(path) };
  await orTold(entry, url, log.child({ type, file: name }), () =>
    client.postArchive(url, { session, challenge, instance }, file, limits),
  );
  await attempt(`remove '${path}'`, rm(path, { force: true }));
}

/**
 * @returns whether the controller took it.
 * @throws {Failure} if it may work another time; a key that is not known may be one that is being exchanged.
 */
async function orTold(
  entry: SpoolEntry,
  url: string,
  log: Log,
  send: () => Promise<unknown>,
): Promise<boolean> {
  try {
    await send();
    log.info("artifacts accepted");
    return true;
  } catch (error) {
    if (!(error instanceof Rejection) || error.isOfKey) throw error;
    log.error({ reason: reasonOf(error) }, "artifacts refused by the controller");
    await tell(entry, `${withoutSecrets(url)} answered ${error.status}\n${error.answer}\n`, "abort");
    return false;
  }
}

/** The build's result tells that its artifacts are not there. */
async function tell(entry: SpoolEntry, log: string, status: "warning" | "abort"): Promise<void> {
  await entry.setResult(await withChange({ request: (await entry.result())!, log, status }));
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  await attempt(`read '${path}'`, pipeline(createReadStream(path), hash));
  return hash.digest("hex");
}
