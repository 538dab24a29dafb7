/**
 * Files of builds whose results are still to come, as workers send them piece by piece. They lie in the output directory,
 * so that the store only gives them another name; what nobody asks for is removed with the connection, or the run.
 */
import { createHash, type Hash } from "node:crypto";
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Failure, reasonOf } from "../../os/failure.ts";
import type { BuildOutput, BuildOutputPiece, BuildResult } from "../../worker/protocol.ts";

/** Of one build: whoever sends without end must not fill the disk. */
const mostFiles = 1000;
const mostBytes = 4 * 1024 ** 3;

/** A file that has come whole. */
export interface KeptOutput {
  name: string;
  sha256: string;
  /** Where it lies until the store takes it. */
  path: string;
}

interface Incoming {
  path: string;
  hash: Hash;
  size: number;
}

/** What has come of a build. */
interface OfBuild {
  commit: number;
  bytes: number;
  files: Map<string, Incoming>;
}

export class IncomingOutputs implements Disposable {
  readonly #directory: string;
  /** By host, and the target that it builds: one commit at a time. */
  readonly #hosts = new Map<string, Map<string, OfBuild>>();
  #count = 0;

  /** @param output directory of the results. */
  constructor(output: string) {
    this.#directory = join(output, ".croft-incoming");
    rmSync(this.#directory, { recursive: true, force: true }); // of a boss that was killed
  }

  /** @throws {Failure} if it cannot be written. */
  add(host: string, { board, commit_upto: commit, name, data }: BuildOutputPiece): void {
    const bytes = Buffer.from(data, "base64");
    const build = this.#buildOf(host, board, commit);
    build.bytes += bytes.length;
    if (build.bytes > mostBytes || (build.files.size >= mostFiles && !build.files.has(name))) return;
    try {
      let file = build.files.get(name);
      if (!file) {
        mkdirSync(this.#directory, { recursive: true });
        file = { path: join(this.#directory, String(this.#count++)), hash: createHash("sha256"), size: 0 };
        build.files.set(name, file);
      }
      const fd = openSync(file.path, "a", 0o600);
      try {
        for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
      } finally {
        closeSync(fd);
      }
      file.hash.update(bytes);
      file.size += bytes.length;
    } catch (error) {
      throw new Failure(`write '${name}' of '${board}'`, reasonOf(error), { cause: error });
    }
  }

  /** The files that a result names, of those that have come whole; all others of that build are forgotten. */
  take(host: string, { board, commit_upto: commit, outputs = [] }: BuildResult): KeptOutput[] {
    const builds = this.#hosts.get(host);
    const build = builds?.get(board);
    if (build?.commit !== commit) return [];
    builds!.delete(board);
    const kept = outputs.flatMap(({ name, size, sha256 }: BuildOutput) => {
      const file = build.files.get(name);
      if (file?.size !== size || file.hash.digest("hex") !== sha256) return [];
      build.files.delete(name);
      return [{ name, sha256, path: file.path }];
    });
    discard(build);
    return kept;
  }

  /** A worker is gone, and with it the results that its files would have been of. */
  forget(host: string): void {
    for (const build of this.#hosts.get(host)?.values() ?? []) discard(build);
    this.#hosts.delete(host);
  }

  [Symbol.dispose](): void {
    this.#hosts.clear();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #buildOf(host: string, board: string, commit: number): OfBuild {
    let builds = this.#hosts.get(host);
    if (!builds) this.#hosts.set(host, (builds = new Map()));
    const known = builds.get(board);
    if (known?.commit === commit) return known;
    if (known) discard(known);
    const build = { commit, bytes: 0, files: new Map<string, Incoming>() };
    builds.set(board, build);
    return build;
  }
}

function discard({ files }: OfBuild): void {
  for (const { path } of files.values()) rmSync(path, { force: true });
}
