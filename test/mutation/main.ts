/**
 * `npm run mutate -- ROOM [--seed N] [--count 40]`: makes small faults in a room, one at a time and in a copy of the
 * project, and runs the room's unit tests on each. Says how many were noticed, and shows those that were not.
 *
 * Run again, it goes on where it was: what is known of the same mutants is kept in `.cache/mutation`, as long as
 * neither the room nor its tests change.
 */
import { createHash } from "node:crypto";
import { cpSync, globSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { packageFile, packageRoot } from "../../os/files/package.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { mutantsOf, type Mutant } from "./mutants.ts";
import { testsThatReach } from "./reach.ts";
import { rooms } from "./rooms.ts";
import { runTests, type Outcome } from "./trial.ts";

/** Longest time of the tests on one mutant, or twice as long as without one: what never ends is noticed. */
const leastTimeoutSeconds = 30;
const copied = [
  "agent",
  "bin",
  "boss",
  "controller",
  "machines",
  "manifests",
  "os",
  "systemd",
  "test",
  "worker",
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string", default: "1" },
    count: { type: "string", default: "40" },
  },
});
const name = positionals[0] ?? "";
const room = rooms[name];
if (!room) {
  process.stderr.write(
    `Usage: npm run mutate -- ROOM [--seed N] [--count N]; rooms: ${Object.keys(rooms).join(", ")}\n`,
  );
  process.exit(2);
}
const files = (places: readonly string[], ending: string) =>
  places.flatMap((place) => (place.endsWith(".ts") ? [place] : globSync(`${place}/**/*${ending}`).sort()));
process.chdir(packageRoot);
const sources = files(room.sources, ".ts").filter((file) => !file.endsWith(".d.ts"));
const tests = files(room.tests, ".test.ts");
const all = sources.flatMap((file) => mutantsOf(file, readFileSync(file, "utf8")));
const sample = shuffled(all, Number(values.seed)).slice(0, Number(values.count));

await using directory = await temporaryDirectory("croft-mutation-");
for (const each of [...copied, "package.json", "docs", "README.md", "CHANGELOG.md"])
  cpSync(packageFile(each), join(directory.path, each), { recursive: true });
symlinkSync(packageFile("node_modules"), join(directory.path, "node_modules"));

const digest = createHash("sha256");
for (const file of [...sources, ...tests]) digest.update(readFileSync(file));
const known = packageFile(
  ".cache",
  "mutation",
  `${name}-${values.seed}-${digest.digest("hex").slice(0, 12)}.json`,
);
mkdirSync(packageFile(".cache", "mutation"), { recursive: true });
const outcomes = readKnown(known);

const plain = await runTests(directory.path, tests, 20 * leastTimeoutSeconds);
if (plain.outcome !== "survived") {
  process.stderr.write(`The tests of ${name} fail without any fault:\n${plain.output}\n`);
  process.exit(1);
}
process.stdout.write(
  `${name}: ${sample.length} of ${all.length} mutants, seed ${values.seed}; ${tests.length} test files, ` +
    `${plain.seconds.toFixed(1)} s\n`,
);
const timeoutSeconds = Math.max(leastTimeoutSeconds, 2 * plain.seconds);
const survivors: Mutant[] = [];
const counts: Record<Outcome, number> = { killed: 0, timeout: 0, survived: 0 };
for (const mutant of sample) {
  const id = `${mutant.file}:${mutant.start}-${mutant.end}:${mutant.replacement}`;
  const outcome = (outcomes[id] ??= await tryOut(mutant));
  writeFileSync(known, JSON.stringify(outcomes));
  counts[outcome]++;
  if (outcome === "killed") continue;
  if (outcome === "survived") survivors.push(mutant);
  process.stdout.write(`${outcome}: ${describe(mutant)}`);
}
const score = sample.length - survivors.length;
process.stdout.write(
  `${name}: ${score} of ${sample.length} noticed (${counts.timeout} of them by the limit of time), ` +
    `${survivors.length} survived\n`,
);

async function tryOut(mutant: Mutant): Promise<Outcome> {
  const path = join(directory.path, mutant.file);
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.slice(0, mutant.start) + mutant.replacement + text.slice(mutant.end));
  try {
    return (await runTests(directory.path, testsThatReach(mutant.file, tests), timeoutSeconds)).outcome;
  } finally {
    writeFileSync(path, text);
  }
}

function readKnown(path: string): Record<string, Outcome> {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Record<string, Outcome>;
  } catch {
    return {};
  }
}

function describe({ file, line, start, end, replacement, operator }: Mutant): string {
  const text = readFileSync(file, "utf8");
  const from = text.lastIndexOf("\n", start - 1) + 1;
  const to = (text.indexOf("\n", end) + 1 || text.length + 1) - 1;
  const before = text.slice(from, to);
  const after = text.slice(from, start) + replacement + text.slice(end, to);
  const lines = (mark: string, what: string) => what.replace(/^/gm, `  ${mark}`);
  return `${file}:${line} (${operator})\n${lines("-", before)}\n${lines("+", after)}\n`;
}

/** In an order that follows from the seed and from each by itself: a change elsewhere draws no other sample. */
function shuffled(mutants: readonly Mutant[], seed: number): Mutant[] {
  const seen = new Map<string, number>();
  const keyOf = ({ file, original, replacement, operator }: Mutant) => {
    const what = JSON.stringify([seed, file, operator, original, replacement]);
    const count = (seen.get(what) ?? 0) + 1;
    seen.set(what, count);
    return createHash("sha256").update(`${what} ${count}`).digest("hex");
  };
  const keyed = mutants.map((mutant) => ({ mutant, key: keyOf(mutant) }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ mutant }) => mutant);
}
