/** The recorded sessions with buildman's worker, with croft's in its place and a real repository. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { temporaryDirectory, type TemporaryDirectory } from "../../../os/files/temporary.ts";
import { parseResponse, type BuildResult, type Response } from "../../../worker/protocol.ts";
import { makeSourceHistory } from "../../fixtures/source-history.ts";
import { transcripts, type RecordedLine } from "../transcripts.ts";
import { WorkerProcess } from "./worker-process.ts";

const board = "xilinx_versal_mini";

/** The commits of the recordings, and what they were like. */
const recordedCommits = {
  "4ff0d882": {},
  "70279223": {},
  fdee8b25: { breaks: "all" },
  cb938a4f: { warns: "all" },
  "4442b4eb": {},
} as const;

describe("a session like the recorded one", () => {
  let place: TemporaryDirectory;
  let substitutes: [recorded: string, ours: string][];

  before(async () => {
    place = await temporaryDirectory("croft-test-");
    const steps = Object.values(recordedCommits);
    const { commits } = makeSourceHistory(join(place.path, "source"), { [board]: {} }, steps);
    substitutes = Object.keys(recordedCommits).map((hash, index) => [hash, commits[index]!]);
    substitutes.push(["/home/dev/run/setup-wd", join(place.path, "setup-wd")]);
    makeToolchain(
      join(place.path, ".buildman-toolchains/gcc-12.2.0-nolibc/aarch64-linux/bin"),
      "aarch64-linux-",
    );
  });
  after(() => place[Symbol.asyncDispose]());

  for (const [name, lines] of transcripts())
    it(name, async () => {
      await using worker = new WorkerProcess({
        workDir: join(place.path, "source"),
        env: { ...process.env, HOME: place.path, TMPDIR: place.path },
      });
      await replay(lines, worker, substitutes);
      assert.equal(await worker.exited, 0);
    });
});

/** Compilers for another architecture: the host's, as only their names matter here. */
function makeToolchain(directory: string, prefix: string): void {
  mkdirSync(directory, { recursive: true });
  for (const program of ["gcc", "size"]) {
    const file = join(directory, `${prefix}${program}`);
    writeFileSync(file, `#!/bin/sh\nexec ${program} "$@"\n`);
    chmodSync(file, 0o755);
  }
}

async function replay(
  lines: readonly RecordedLine[],
  worker: WorkerProcess,
  substitutes: readonly [string, string][],
): Promise<void> {
  for (const { from, text } of lines) {
    if (from === "boss") {
      worker.send(substitutes.reduce((line, [recorded, ours]) => line.replaceAll(recorded, ours), text));
      continue;
    }
    const recorded = parseResponse(text);
    if (recorded.kind === "noise") continue;
    assert.equal(recorded.kind, "message");
    assertAlike(await worker.next(), recorded.message, `recorded: ${text.slice(0, 200)}`);
  }
}

/** The same fields of the same types; the same values, where they are no build's or host's own. */
function assertAlike(ours: Response, recorded: Response, message: string): void {
  assert.deepEqual(shape(ours), shape(recorded), message);
  if (recorded.resp === "build_result") {
    assertSameBuild(ours as BuildResult, recorded, message);
  } else if (recorded.resp === "error") {
    const { msg } = ours as typeof recorded;
    if (recorded.msg.startsWith("invalid JSON: ")) assert.match(msg, /^invalid JSON: ./);
    else assert.equal(msg, recorded.msg);
  } else if (recorded.resp === "setup_done") {
    const { work_dir, git_dir } = ours as typeof recorded;
    assert.equal(git_dir, join(work_dir, ".git"));
    if (recorded.work_dir.endsWith("/setup-wd")) assert.match(work_dir, /\/setup-wd$/);
  } else assert.deepEqual(ours, recorded);
}

function assertSameBuild(ours: BuildResult, recorded: BuildResult, message: string): void {
  for (const field of ["board", "commit_upto", "return_code", "stdout"] as const)
    assert.equal(ours[field], recorded[field], message);
  for (const words of ["error: ‘missing_symbol’ undeclared", "warning: unused variable", "make: ***"])
    assert.equal(ours.stderr.includes(words), recorded.stderr.includes(words), `${message}: ${ours.stderr}`);
  assert.equal(ours.stderr === "", recorded.stderr === "", ours.stderr);
  if (recorded.sizes) {
    const columns = /^\s*\d+\t\s*\d+\t\s*\d+\t\s*\d+\t\s*[0-9a-f]+\t\S*\bu-boot$/;
    assert.match(recorded.sizes.raw, columns);
    assert.match(ours.sizes!.raw, columns);
  }
}

/** Names and types of all fields. */
function shape(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shape(inner)]));
}
