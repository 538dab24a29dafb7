/** The boss is killed at random moments: the next run builds what is missing, and only that. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { until } from "../../controller/until.ts";
import { makeDesk } from "../desk.ts";
import { processesWith } from "../results/results.ts";
import { runBoss, RunningBoss } from "../running-boss.ts";

const moments = Number(process.env["CROFT_TEST_KILLS"] ?? 3);
const targets = Array.from({ length: 8 * moments }, (_, at) => `board_${at}`);
const commits = 2;

/** Takes a moment for each result, and says what it is of. */
const workerScript = `
say() { echo "BM> $1"; }
say '{"resp":"ready","nthreads":2,"slots":2}'
while read -r line; do
  case $line in
    *'"configure"'*) say '{"resp":"configure_done"}' ;;
    *'"build_prepare"'*) say '{"resp":"build_prepare_done"}' ;;
    *'"build_board"'*)
      board=\${line#*'"board":"'}; board=\${board%%'"'*}
      case $line in *'"commits":['*) list=\${line#*'"commits":['}; list=\${list%%']'*} ;; *) list=0,1 ;; esac
      for commit in $(echo "$list" | tr , ' '); do
        sleep 0.03
        say '{"resp":"build_result","board":"'"$board"'","commit_upto":'"$commit"',"return_code":0,"stderr":"","stdout":"'"$board $commit"'"}'
      done ;;
    *'"build_done"'*) say '{"resp":"build_done","exceptions":0}' ;;
    *'"quit"'*) say '{"resp":"quit_ack"}'; exit 0 ;;
  esac
done
`;

/** Results that count, as \`TARGET COMMIT\`; each must be whole. */
function complete(output: string): Set<string> {
  const cells = new Set<string>();
  for (const directory of readdirSync(output).filter((name) => /^\d\d_g/.test(name)))
    for (const target of readdirSync(join(output, directory))) {
      const path = join(output, directory, target);
      if (!existsSync(join(path, "done"))) continue;
      const cell = `${target} ${Number(directory.slice(0, 2)) - 1}`;
      assert.equal(readFileSync(join(path, "done"), "utf8"), "0\n");
      assert.equal(readFileSync(join(path, "log"), "utf8"), cell);
      assert.equal(readFileSync(join(path, "host"), "utf8"), "local\n");
      cells.add(cell);
    }
  return cells;
}

/** What a run was told of results, as the same. */
function told({ events }: RunningBoss, hashes: readonly string[]): string[] {
  return events
    .filter(({ event }) => event === "result")
    .map(({ target, commit }) => `${String(target)} ${hashes.indexOf(String(commit))}`);
}

test(`a boss that is killed ${moments} times at random loses nothing that counted, and builds nothing twice`, async () => {
  await using desk = await makeDesk(targets, [{}, {}], (directory) => {
    const script = join(directory, "worker.sh");
    writeFileSync(script, workerScript);
    return ["--json", "--count", "2", "--worker-command", `exec sh ${script}`];
  });
  const { directory, commits: hashes } = desk.history;
  let before = new Set<string>();
  for (let moment = 0; moment < moments; moment++) {
    await using boss = new RunningBoss(desk.args, desk, directory);
    const results = Math.floor((Math.random() * targets.length * commits) / moments);
    if (results === 0) await boss.until(({ event }) => event === "starting");
    else await boss.until(({ event }) => event === "result", results);
    boss.child.kill("SIGKILL");
    await boss.ended;
    const after = complete(desk.output);
    assert.ok(before.isSubsetOf(after), "a result that counted is gone");
    assert.deepEqual([...new Set(told(boss, hashes)).intersection(before)], [], "built twice");
    before = after;
    // What it had started ends by itself, and then the next run has its place.
    await until(() => Promise.resolve(processesWith(desk.directory).length === 0), "the end of its worker");
  }
  const { status, stderr, boss } = await runBoss(desk.args, desk, directory);
  assert.equal(status, 0, stderr);
  assert.equal(boss.summary.already, before.size);
  const built = told(boss, hashes);
  assert.equal(built.length, targets.length * commits - before.size, "only what was missing");
  assert.deepEqual([...new Set(built).intersection(before)], []);
  assert.equal(complete(desk.output).size, targets.length * commits);
});
