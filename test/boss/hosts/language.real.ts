/** Another worker on a host, and git there, are not in the host's language. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeSourceHistory } from "../../fixtures/source-history.ts";
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
  const hook = '#!/bin/sh\necho "git: [$LC_ALL]"\nexit 1\n';
  writeFileSync(join(work, ".git", "hooks", "pre-receive"), hook, { mode: 0o755 });
  writeFileSync(join(source, "something-to-push"), "");
  assert.match(await refusal("--uncommitted"), /git: \[C\]/);
});
