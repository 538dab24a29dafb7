/** A matrix through a controller and two real machines, beside the same on two ssh hosts */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startFarm } from "../../fixtures/farm.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";
import { serveGit } from "../../fixtures/services/git-server.ts";
import { git, makeSourceHistory } from "../../fixtures/source-history.ts";
import { runBoss } from "../running-boss.ts";
import { startHosts } from "../ssh-hosts.ts";
import { commitsIn, treeOf } from "./trees.ts";

const targets = ["board_0", "board_1", "board_2"];

test("a matrix through a controller and two machines gives the tree, summary and report of two ssh hosts", async () => {
  await using hosts = await startHosts(["alpha", "beta"]);
  const source = join(hosts.directory, "project");
  // Each build takes so long that no machine is done before the other has begun.
  makeSourceHistory(source, Object.fromEntries(targets.map((name) => [name, { seconds: 3 }])), [
    {},
    { warns: ["board_0"], reconfigures: ["board_2"] },
    { breaks: ["board_1"] },
    { warns: "all" },
  ]);
  git(hosts.directory, ["clone", "--quiet", "--bare", source, join(hosts.directory, "served", "p.git")]);
  await using server = await serveGit(join(hosts.directory, "served"));
  await using farm = await startFarm({
    ...{ machine: "debian", from: "kept", cpus: 1 },
    agent: ["--machine-copies", "2"],
  });
  await farm.startAgent();
  await farm.startSecondAgent([]);

  const build = async (name: string, ...where: string[]) => {
    const output = join(hosts.directory, name);
    const args = ["build", "--recipe", "u-boot", "--output", output, "--count", "4", ...where, ...targets];
    const { status, stdout, stderr } = await runBoss(args, hosts, source);
    assert.equal(status, 2, `${stdout}${stderr}${await farm.agentTail()}`);
    const page = join(hosts.directory, "report.html");
    const report = await runBoss(["report", "--output", output, "--html", page], hosts, source);
    return { output, stdout, stderr, report: report.stdout, page: readFileSync(page, "utf8") };
  };
  const repository = server.url("p.git", "guest");
  const there = await build("machines", "--controller", farm.url, "--repository", repository);
  const here = await build(
    "hosts",
    "--no-local",
    "--hosts",
    "alpha,beta",
    "--connect-timeout",
    String(patienceSeconds),
  );

  const told = `${there.stdout}${there.stderr}${await farm.agentTail()}`;
  assert.match(there.stdout, /^12 built: 7 ok, 4 with warnings, 1 failed$/m, told);
  assert.equal(there.stdout, here.stdout);
  assert.equal(there.report, here.report);
  for (const target of targets) assert.deepEqual(treeOf(there.output, target), treeOf(here.output, target));
  const builders = commitsIn(there.output).flatMap((commit) =>
    targets.map((target) => readFileSync(join(there.output, commit, target, "host"), "utf8")),
  );
  assert.equal(new Set(builders).size, 2, `both machines have built: ${builders.join("")}`);
  assert.equal(withoutHosts(there.page), withoutHosts(here.page));
});

/** A report but for who has built, and make's last words. */
function withoutHosts(page: string): string {
  return page
    .replaceAll(/(?<=title="\w+): [\w.-]+(?=[:"])/g, "")
    .replaceAll(/ on [\w.-]+(?=: .*<\/summary>)/g, "")
    .replaceAll(/^make.*\n/gm, "");
}
