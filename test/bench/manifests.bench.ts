/**
 * Manifests, read and written: throughput beside the least that any reader must do (`toString()` and a look at
 * each byte), and the peak memory of processes that read a whole stream.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../os/run.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { readPairs } from "../../manifests/text/fast-reader.ts";
import { readPositionedPairs, type Pair } from "../../manifests/text/reader.ts";
import { writePairs } from "../../manifests/text/writer.ts";

const rounds = 20;

/** Four operations with logs of a compiler's kind. */
function logPairs(bytes: number): Pair[] {
  const pairs = [pair("", "1"), pair("name", "hello"), pair("version", "1.0.0"), pair("status", "warning")];
  let file = 0;
  for (const operation of ["configure", "update", "test", "install"]) {
    const lines: string[] = [];
    for (let size = 0; size < bytes / 4; size += lines.at(-1)!.length + 1) {
      file++;
      lines.push(
        file % 7 === 0
          ? `c++ -I/usr/include -O2 -Wall -Wextra -o obj/file${file}.o -c src/part/file${file}.cxx -MD -MF d/${file}.d`
          : `src/part/file${file}.cxx:12:${file % 80}: warning: unused variable 'a' [-Wunused-variable]`,
      );
    }
    pairs.push(pair(`${operation}-status`, "warning"), pair(`${operation}-log`, lines.join("\n")));
  }
  return [...pairs, pair("", ""), pair("", "")];
}

/** A list of manifests with a few short values each. */
function smallPairs(bytes: number): Pair[] {
  const pairs: Pair[] = [];
  for (let number = 0, size = 0; size < bytes; number++) {
    const values: [string, string][] = [
      ["id", `machine_${number}-1.${number}`],
      ["name", `machine_${number}`],
      ["summary", `a machine for builds of kind ${number}`],
      ["role", "build"],
      ["ram-minimum", String(number * 4)],
    ];
    pairs.push(pair("", "1"), ...values.map(([name, value]) => pair(name, value)), pair("", ""));
    for (const [name, value] of values) size += name.length + value.length + 3;
  }
  return [...pairs, pair("", "")];
}

function pair(name: string, value: string): Pair {
  return { name, value };
}

/** Milliseconds of one call of each, medians; taken in turns, so that what else the host does meets all alike. */
function medians<T extends string>(works: Record<T, () => unknown>): Record<T, number> {
  const entries = Object.entries(works) as [T, () => unknown][];
  const times = entries.map((): number[] => []);
  for (let round = 0; round < rounds; round++)
    for (const [index, [, work]] of entries.entries()) {
      const start = performance.now();
      work();
      times[index]!.push(performance.now() - start);
    }
  return Object.fromEntries(
    entries.map(([name], index) => [name, times[index]!.sort((x, y) => x - y)[rounds >> 1]!]),
  ) as Record<T, number>;
}

/** The alternative: a string of it, and a look at each byte. */
function leastPossible(bytes: Buffer): number {
  let newlines = bytes.toString().length === 0 ? 1 : 0;
  for (let at = 0; at < bytes.length; at++) if (bytes[at] === 0x0a) newlines++;
  return newlines;
}

function throughput(name: string, pairs: Pair[], longLines: boolean): void {
  const bytes = Buffer.from(writePairs(pairs, { longLines }));
  const megabytes = bytes.length / 1e6;
  const { least, fast, exact, write } = medians({
    least: () => leastPossible(bytes),
    fast: () => readPairs(bytes),
    exact: () => readPositionedPairs(bytes),
    write: () => writePairs(pairs, { longLines }),
  });
  const speed = (milliseconds: number) => `${Math.round((megabytes / milliseconds) * 1000)} MB/s`;
  process.stdout.write(
    `${name}, ${longLines ? "long" : "joined"} lines (${megabytes.toFixed(1)} MB, ${pairs.length} pairs): ` +
      `toString and byte scan ${speed(least)}; read ${speed(fast)} (ratio ${(least / fast).toFixed(2)}); ` +
      `exact reader ${speed(exact)} (${(least / exact).toFixed(2)}); ` +
      `write ${speed(write)} (${(least / write).toFixed(2)})\n`,
  );
}

/** Peak memory in bytes of a child that reads this file, or none. */
async function peakBytes(...file: string[]): Promise<number> {
  const program = join(import.meta.dirname, "manifests-memory.ts");
  const { stdout } = await run([process.execPath, program, ...file], { timeoutSeconds: 60 });
  return (JSON.parse(stdout) as { peak: number }).peak;
}

async function memory(name: string, bytes: Uint8Array, bare: number): Promise<void> {
  await using directory = await temporaryDirectory("croft-bench-");
  const file = join(directory.path, "manifest");
  await writeFile(file, bytes);
  const peak = await peakBytes(file);
  const megabytes = (size: number) => `${Math.round(size / 1e6)} MB`;
  process.stdout.write(
    `${name}, peak memory of reading ${megabytes(bytes.length)}: ${megabytes(peak)}, ` +
      `${((peak - bare) / bytes.length).toFixed(1)} times the input (itself included) ` +
      `above the ${megabytes(bare)} of a process that reads nothing\n`,
  );
}

/** Prints the figures. */
export default async function bench(): Promise<void> {
  for (const [name, make] of [
    ["logs", logPairs],
    ["small manifests", smallPairs],
  ] as const) {
    const pairs = make(5e6);
    for (const longLines of [true, false]) throughput(name, pairs, longLines);
  }
  const bare = await peakBytes();
  const logs = logPairs(50e6);
  await memory("logs, long lines", writePairs(logs, { longLines: true }), bare);
  await memory("logs, joined lines", writePairs(logs), bare);
  const quoted = logs.map(({ name, value }) => pair(name, value.replaceAll("'a'", "‘a’")));
  await memory("logs with characters beyond ASCII, joined lines", writePairs(quoted), bare);
  await memory("small manifests", writePairs(smallPairs(50e6)), bare);
}
