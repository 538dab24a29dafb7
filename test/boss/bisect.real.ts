/** `croft boss bisect` as it is called; what builds is a worker that only looks at the commit that it was given. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { git } from "../fixtures/source-history.ts";
import { makeDesk } from "./desk.ts";
import { runBoss } from "./running-boss.ts";

/** The merge fails; all commits have a line that looks like an error. */
const workerScript = `
say() { printf '%s\\n' "BM> $1"; }
say '{"resp":"ready","nthreads":1,"slots":1}'
while read -r line; do
  case $line in
    *'"configure"'*) say '{"resp":"configure_done"}' ;;
    *'"build_prepare"'*) say '{"resp":"build_prepare_done"}' ;;
    *'"build_board"'*)
      code=0 error='a.c:1: error: ignored'
      [ "$(git log -1 --format=%s)" != Merge ] || { code=2; error="$error\\\\nb.c:2: error: new"; }
      say '{"resp":"build_result","board":"t","commit_upto":0,"return_code":'$code',"stderr":"'"$error"'","stdout":"","load_avg":0}' ;;
    *'"build_done"'*) say '{"resp":"build_done","exceptions":0}' ;;
    *'"quit"'*) say '{"resp":"quit_ack"}'; exit 0 ;;
  esac
done
`;

test("the first bad commit is told along first parents, with its new error, and what a merge brings", async () => {
  await using world = await makeDesk(["t"], [{}, { subject: "Beside" }], () => []);
  const { directory: source, commits } = world.history;
  const script = join(world.directory, "worker.sh");
  writeFileSync(script, workerScript);
  const [good, tip] = commits.map((hash) => hash.slice(0, 12));
  const bisect = (range: string) =>
    runBoss(
      [
        "bisect",
        "--output",
        world.output,
        "--worker-command",
        `true && exec sh ${script}`,
        range,
        "t:sandbox",
      ],
      world,
      source,
    );
  git(source, ["checkout", "--quiet", "-b", "other", commits[0]!]);
  git(source, ["merge", "--quiet", "--no-ff", "--message=Merge", "main"]);

  const found = await bisect(`${good}..other`);
  assert.equal(found.status, 0, found.stderr);
  const line =
    /^t: first bad commit is [0-9a-f]{40} Merge\n {4}b\.c:2: error: new\n {4}it is a merge: (.*)\n {4}\d+ builds/;
  assert.match(found.stdout, line);
  assert.equal(line.exec(found.stdout)![1], `bisect what it brings with ${good}..${tip}`);
  assert.match(found.stderr, new RegExp(`^local: ${good} .* builds$`, "m"));
  assert.doesNotMatch(found.stderr, /Beside/);

  for (const [range, reason] of [
    ["other..main~1", "'main~1' does not come after 'other'"],
    ["main", "expected GOOD..BAD"],
    ["none..main", "there is no commit 'none'"],
  ] as const) {
    const refused = await bisect(range);
    assert.ok(refused.stderr.includes(reason), refused.stderr);
    assert.equal(refused.status, 2);
  }
});
