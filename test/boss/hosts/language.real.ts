/** Another worker on a host, and git there, are not in the host's language. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { git, makeSourceHistory } from "../../fixtures/source-history.ts";
import { runBoss } from "../running-boss.ts";
import { startHosts } from "../ssh-hosts.ts";

test("another worker, and git that takes a push, have a known language on a host", async () => {
  await using hosts = await startHosts(["alpha"]);
  const source = join(hosts.directory, "project");
  makeSourceHistory(source, { t: {} }, [{}]);
  const work = join(hosts.directory, "work");
  const worker = 'echo "worker: [$LC_ALL]" >&2; exit 1';
  const args = ["build", "--json", "--hosts", "alpha", "--no-local", "--work-dir", work];
  const refusal = async (...more: string[]) => {
    const given = [...args, "--worker-command", worker, ...more, "t:sandbox"];
    return (await runBoss(given, hosts, source)).boss.summary.absent[0]!.reason;
  };
  assert.match(await refusal(), /worker: \[C(?:\.UTF-8)?\]/);
  // Git asks this of itself while it takes a push, which fails here for another reason.
  const told = join(hosts.directory, "told");
  git(work, ["config", "core.alternateRefsCommand", `echo "git: [$LC_ALL]" >${told}; true`]);
  git(work, ["config", "receive.maxInputSize", "1"]);
  writeFileSync(join(work, ".git", "objects", "info", "alternates"), `${join(source, ".git", "objects")}\n`);
  writeFileSync(join(source, "something-to-push"), "");
  assert.match(await refusal("--uncommitted"), /Cannot push/);
  assert.equal(readFileSync(told, "utf8"), "git: [C]\n");
});
