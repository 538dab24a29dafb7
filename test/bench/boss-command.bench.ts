/**
 * `croft boss build` as it is published, from its start to its end, with one worker here that answers at once: when that has its
 * first command, how long all of it takes, summary and logs included, and its memory; and `croft boss report` afterwards.
 * CROFT_BENCH_MATRIX=TARGETSxCOMMITS,… takes other sizes.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { quote } from "../../os/text/shell-word.ts";
import { temporaryDirectory } from "../../os/files/temporary.ts";
import { git } from "../fixtures/source-history.ts";
import { publishTo } from "./published.ts";

const usual = "1x1,2000x1,200x10,2000x10";

/** Writes what the process has used when it ends. */
const usage = `process.on("exit", () => {
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  require("fs").writeFileSync(process.env.CROFT_BENCH_USAGE + "-" + process.pid,
    JSON.stringify({ megabytes: maxRSS / 1024, seconds: (userCPUTime + systemCPUTime) / 1e6 }));
});`;

export default async function bench(): Promise<void> {
  await using directory = await temporaryDirectory("croft-bench-command-");
  await publishTo(directory.path, ["test/boss/fake-worker.ts"]);
  const sizes = (process.env["CROFT_BENCH_MATRIX"] ?? usual).split(",");
  for (const size of sizes) await measure(directory.path, size);
}

async function measure(published: string, size: string): Promise<void> {
  const [targets = 0, commits = 0] = size.split("x").map(Number);
  const place = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "croft-bench-"));
  try {
    const source = makeSource(join(place, "source"), targets, commits);
    writeFileSync(join(place, "usage.cjs"), usage);
    const output = join(place, "results");
    const worker = join(published, "dist", "test", "boss", "fake-worker.js");
    const common = ["--source", source, "--output", output];
    const build = ["build", ...common, "--trust-config", "--local-only", "--count", String(commits)];
    const command = `exec ${quote(process.execPath)} ${quote(worker)} 8`;
    const run = (...args: string[]) => croft(published, place, args);
    await run(...build, "--worker-command", command);
    rmSync(output, { recursive: true }); // what was made once, for each source
    const built = await run(...build, "--worker-command", command);
    const log = readFileSync(join(output, "worker-local.log"), "utf8");
    const first = Date.parse(/^(\S+) >> /m.exec(log)![1]!) - built.began;
    const report = await run("report", ...common, "--html", join(place, "report.html"));
    process.stdout.write(
      `${size}: first command after ${first} ms, ${told(built)}; report: ${told(report)}\n`,
    );
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function makeSource(source: string, targets: number, commits: number): string {
  mkdirSync(source);
  git(source, ["init", "--quiet", "--initial-branch=main"]);
  const history = Array.from({ length: commits }, (_, at) => {
    const message = `Commit ${at}: change something`;
    return (
      `commit refs/heads/main\ncommitter A <a@example.org> ${1_700_000_000 + at} +0000\n` +
      `data ${message.length}\n${message}\nM 100644 inline file\ndata <<END\n${at}\nEND\n`
    );
  });
  git(source, ["fast-import", "--quiet"], history.join(""));
  const names = Array.from({ length: targets }, (_, at) => `  board_${at}: {arch: sandbox}\n`);
  writeFileSync(join(source, "croft.yaml"), `recipe: make\ntargets:\n${names.join("")}`);
  return source;
}

/** Runs the published command to its end. */
async function croft(published: string, place: string, args: readonly string[]) {
  const began = Date.now();
  const at = performance.now();
  const child = spawn(process.execPath, [join(published, "bin", "croft.js"), "boss", ...args], {
    env: {
      ...process.env,
      ...{ HOME: place, XDG_STATE_HOME: "", TMPDIR: place, CROFT_BENCH_USAGE: join(place, "usage") },
      NODE_OPTIONS: `--require=${join(place, "usage.cjs")}`,
    },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const status = await new Promise((resolve) => child.once("close", resolve));
  if (status !== 0) throw new Error(`croft boss ${args[0]} ended with ${String(status)}: ${said}`);
  const used = JSON.parse(readFileSync(join(place, `usage-${child.pid}`), "utf8")) as Used;
  return { began, wholeSeconds: (performance.now() - at) / 1000, ...used };
}

interface Used {
  megabytes: number;
  seconds: number;
}

function told({ wholeSeconds, seconds, megabytes }: Used & { wholeSeconds: number }): string {
  return `${wholeSeconds.toFixed(2)} s, ${seconds.toFixed(2)} s of processor time, ${Math.round(megabytes)} MB`;
}
