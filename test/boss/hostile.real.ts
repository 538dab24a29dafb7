/** Hosts and repositories that mean harm: what they can do to the desk, and to a host's files besides its builds. */
import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { git } from "../fixtures/source-history.ts";
import { makeDesk, type Desk } from "./desk.ts";
import { runBoss } from "./running-boss.ts";
import { perlWorker } from "./perl-worker.ts";

const desk = () => makeDesk(["a"], [{}], () => ["--json", "--recipe", "u-boot"]);

const build = (world: Desk, ...more: string[]) =>
  runBoss([...world.args, ...more], world, world.history.directory);

function program(path: string, text: string): void {
  writeFileSync(path, text);
  chmodSync(path, 0o755);
}

test("hosts that print without end are left out, and fill neither memory nor disk", async () => {
  await using world = await desk();
  const bin = join(world.directory, "bin");
  mkdirSync(bin);
  const floods = {
    lines: "yes hello",
    one_line: "tr '\\0' x </dev/zero",
    complaints: "yes bad >&2",
    answers: "yes 'CROFT> has cc x'",
  };
  const cases = Object.entries(floods).map(([name, command]) => `*" ${name} "*) exec ${command};;`);
  program(join(bin, "ssh"), `#!/bin/sh\ncase "$*" in ${cases.join(" ")} esac\n`);
  world.env = { ...world.env, PATH: `${bin}:${process.env["PATH"]}` };
  // With a worker that builds, the run may be over before all of them have been given up.
  const { status, stderr, boss } = await build(world, "--no-local", "--hosts", Object.keys(floods).join(","));
  assert.equal(status, 2, stderr);
  assert.equal(boss.summary.absent.length, 4);
  for (const { host, reason } of boss.summary.absent) {
    assert.match(reason, /: it (prints without end|gives more than 1000 answers)/);
    assert.ok(statSync(join(world.output, `worker-${host}.log`)).size < 16 * 1024 * 1024);
  }
});

test("what a host says is neither a line of the event log nor an order to the terminal", async () => {
  await using world = await desk();
  const worker = join(world.directory, "worker.pl");
  const result = (board: string) =>
    `say '{"resp":"build_result","board":"${board}","commit_upto":0,"return_code":0,"stderr":"","stdout":""}';`;
  const forged = result("b\\\\nFORGED \\\\u001b[2J\\\\u202e");
  writeFileSync(worker, perlWorker(`for (1..2000) { ${forged} } ${result("a")}`));
  const { status, stderr } = await build(world, "--worker-command", `exec perl ${worker}`);
  assert.equal(status, 0, stderr);
  const log = readFileSync(join(world.output, ".croft.log"), "utf8");
  assert.doesNotMatch(log, /^FORGED|[\x1b\u202e]/m);
  assert.equal(log.match(/ NOTE local: result of 'b\?FORGED \?', which/g)?.length, 1000);
});

test("programs that a repository names for git do not run at the desk", async () => {
  await using world = await desk();
  const source = world.history.directory;
  const ran = join(world.directory, "ran");
  for (const hook of ["pre-push", "post-index-change", "reference-transaction"])
    program(join(source, ".git/hooks", hook), `#!/bin/sh\necho ${hook} >> ${ran}\n`);
  program(join(world.directory, "monitor"), `#!/bin/sh\necho monitor >> ${ran}\n`);
  const monitor = join(world.directory, "monitor");
  git(source, ["config", "core.fsmonitor", monitor]);
  // Where hosts are, by what the repository says of addresses; and what it says of files, on the hosts, too.
  git(source, ["config", "protocol.ext.allow", "always"]);
  git(source, ["config", `url.ext::${monitor} .insteadOf`, "/"]);
  const filters = ["clean", "smudge"].map((each) => `\t${each} = echo ${each} >> ${ran}; cat\n`).join("");
  writeFileSync(
    join(world.directory, "desk", ".gitconfig"),
    `[filter "evil"]\n${filters}\trequired = true\n`,
  );
  // What is printed, compared, signed, paged and asked for may name programs, too.
  for (const name of [
    ...["diff.external", "diff.evil.textconv", "diff.evil.command", "merge.evil.driver"],
    ...["gpg.program", "gpg.ssh.program", "core.pager", "core.editor", "core.sshCommand", "core.askPass"],
    ...["core.alternateRefsCommand", "credential.helper", "interactive.diffFilter", "pager.log"],
  ])
    git(source, ["config", name, monitor]);
  for (const name of ["log.showSignature", "commit.gpgSign", "push.gpgSign", "tag.gpgSign"])
    git(source, ["config", name, "true"]);
  writeFileSync(join(source, ".gitattributes"), "* filter=evil diff=evil merge=evil\n");
  git(source, ["add", "."]);
  git(source, ["commit", "--quiet", "--no-gpg-sign", "--message=attributes"]);
  writeFileSync(join(source, "new"), "new\n");
  rmSync(ran, { force: true }); // of what the test itself has done
  const { status, stderr } = await build(world, "--uncommitted");
  assert.equal(status, 0, stderr);
  assert.equal(existsSync(ran) ? readFileSync(ran, "utf8") : "", "");
});

test("what is committed in a submodule stays at the desk, whatever git is told to do with submodules there", async () => {
  await using world = await desk();
  const source = world.history.directory;
  const [elsewhere, part] = [join(world.directory, "elsewhere.git"), join(source, "part")];
  git(world.directory, ["init", "--quiet", "--bare", "--initial-branch=main", elsewhere]);
  git(world.directory, ["clone", "--quiet", elsewhere, part]);
  git(part, ["commit", "--quiet", "--allow-empty", "--message=private"]);
  git(part, ["config", "push.default", "current"]);
  git(source, ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", elsewhere, "part"]);
  const head = git(part, ["rev-parse", "HEAD"]).trim();
  git(source, ["update-index", "--add", "--cacheinfo", `160000,${head},-x\ny`]);
  git(source, ["commit", "--quiet", "--message=with a submodule"]);
  git(source, ["config", "push.recurseSubmodules", "on-demand"]);
  const { status, stderr } = await build(world);
  assert.equal(status, 0, stderr);
  assert.equal(git(elsewhere, ["for-each-ref"]), "");
});

test("a source with links of the names that are taken on hosts has no file outside of it written", async () => {
  await using world = await desk();
  const source = world.history.directory;
  const [victim, directory] = [join(world.directory, "victim"), join(world.directory, "victims")];
  writeFileSync(victim, "precious\n");
  mkdirSync(join(directory, "00"), { recursive: true });
  symlinkSync(victim, join(source, ".croft-lock"));
  symlinkSync(directory, join(source, ".croft-worker"));
  git(source, ["add", "--force", "."]);
  git(source, ["commit", "--quiet", "--message=links"]);
  for (let round = 0; round < 2; round++) {
    const { status, boss } = await build(world);
    assert.equal(status, 2);
    assert.match(
      boss.summary.absent[0]!.reason,
      /check out .* the source has files of names that are taken on hosts: \.croft-lock \.croft-worker/,
    );
  }
  assert.equal(readFileSync(victim, "utf8"), "precious\n");
  assert.ok(existsSync(join(directory, "00")));
});

test("a configuration in the tree that is a link to a device or a pipe is refused at once", async () => {
  await using world = await desk();
  const file = join(world.history.directory, "croft.yaml");
  symlinkSync("/dev/zero", file);
  const { status, stderr } = await build(world);
  assert.equal(status, 2);
  assert.match(stderr, /^croft: Cannot read configuration '.*croft\.yaml': it is no file$/m);
});

test("a build that leaves a pipe where its configuration should be fails, and holds up nothing", async () => {
  await using world = await desk();
  const config = join(world.directory, "croft.yaml");
  const command = "mkfifo {out}/.config; echo broken >&2; exit 1";
  writeFileSync(
    config,
    `recipe: {build: "mkdir {out}; ${command}", config-files: [.config]}\ntargets: {a: }\n`,
  );
  const args = ["build", "--output", world.output, "--json", "--config", config];
  const { status, boss } = await runBoss(args, world, world.history.directory);
  assert.equal(status, 2);
  assert.equal(boss.summary.totals.failed, 1);
});

test("a failure's message gives the terminal no orders", async () => {
  await using world = await desk();
  const named = join(world.directory, "\x1b]0;owned\x07\u202e.yaml");
  const { stderr } = await build(world, "--config", named);
  assert.match(stderr, /^croft: Cannot read configuration/m);
  assert.doesNotMatch(stderr, /[\x1b\x07\u202e]/);
});
