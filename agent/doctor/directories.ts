/** Directories and locks that an agent writes to. */
import { existsSync, statSync } from "node:fs";
import { access, constants, open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { randomTail } from "../../os/files/random-tail.ts";
import { isSystemError, reasonOf } from "../../os/failure.ts";
import { tryLockFile } from "../../os/files/flock.ts";
import { instanceName, type Settings } from "../settings/settings.ts";
import { measureSpool } from "../task-state/spool-size.ts";
import { ok, problem, warning, type Check, type Finding } from "./check.ts";
import { formatBytes, MiB } from "../../os/text/size.ts";
import { checkSpace } from "./space.ts";

export const directoryChecks: readonly Check[] = [
  { name: "spool", run: checkSpool },
  {
    name: "TFTP directory",
    run: ({ tftp, uploadMaxBytes }) =>
      checkDirectory("TFTP directory", tftp, "--tftp", { least: 64 * MiB, comfortable: uploadMaxBytes }),
  },
  {
    name: "runtime directory",
    run: ({ runtime }) =>
      // The console of a machine is the largest that lies there.
      checkDirectory("runtime directory", runtime, "--runtime", { least: 2 * MiB, comfortable: 8 * MiB }),
  },
  { name: "toolchain lock", run: async (settings) => [await checkLock(settings)] },
];

async function checkSpool(settings: Settings): Promise<Finding[]> {
  const instance = join(settings.spool, instanceName(settings));
  const findings = await checkDirectory("spool", instance, "--spool", {
    least: 64 * MiB,
    comfortable: settings.uploadMaxBytes,
  });
  const { waiting, rejected } = await measureSpool(instance);
  if (waiting.entries > 0)
    findings.push(
      ok("spool", `${waiting.entries} results not delivered yet (${formatBytes(waiting.bytes)})`),
    );
  if (rejected.entries > 0)
    findings.push(
      warning(
        "spool",
        `${rejected.entries} results were rejected by their controller (${formatBytes(rejected.bytes)})`,
        `Read why: head ${join(instance, "rejected")}/*/answer; then remove them.`,
      ),
    );
  return findings;
}

/** A directory, or the place where the agent will make it: really written to, and with room. */
async function checkDirectory(
  subject: string,
  path: string,
  option: string,
  need: { least: number; comfortable: number },
): Promise<Finding[]> {
  const fix = `Let the agent's user write there, or give another with ${option} DIR`;
  const existing = nearestExisting(path);
  if (!statSync(existing).isDirectory()) return [problem(subject, `'${existing}' is no directory`, fix)];
  try {
    await tryToWrite(existing);
  } catch (error) {
    return [problem(subject, `cannot write in '${existing}': ${reasonOf(error)}`, fix)];
  }
  const { level, text, ...space } = await checkSpace(subject, existing, need);
  const found = existing === path ? `${path} can be written` : `${path} can be made`;
  return [{ level, ...space, text: `${found}, ${text}` }];
}

function nearestExisting(path: string): string {
  let existing = path;
  while (!existsSync(existing)) existing = dirname(existing);
  return existing;
}

async function tryToWrite(directory: string): Promise<void> {
  const path = trialFile(directory);
  try {
    const file = await open(path, "wx");
    try {
      await file.writeFile("croft doctor\n");
      await file.sync();
    } finally {
      await file.close();
    }
  } finally {
    await rm(path, { force: true });
  }
}

function trialFile(directory: string): string {
  return join(directory, `.croft-doctor-${process.pid}-${randomTail()}`);
}

/** Another file beside the lock is locked: the lock itself is left to the agents. */
async function checkLock({ toolchainLock }: Settings): Promise<Finding> {
  const subject = "toolchain lock";
  if (toolchainLock === "")
    return warning(subject, "none: only one instance may run on this host", "Leave --toolchain-lock out.");
  const fix = "Let the agent's user write there, or give another with --toolchain-lock PATH";
  const directory = dirname(toolchainLock);
  if (!existsSync(directory))
    return problem(subject, `there is no directory '${directory}'`, `mkdir -p ${directory}`);
  try {
    await access(toolchainLock, constants.R_OK | constants.W_OK).catch((error: unknown) => {
      if (!isSystemError(error, "ENOENT")) throw error;
    });
    const path = trialFile(directory);
    try {
      using first = tryLockFile(path);
      using second = tryLockFile(path);
      if (!first || second) return problem(subject, `flock(2) does not lock in '${directory}'`, fix);
    } finally {
      await rm(path, { force: true });
    }
  } catch (error) {
    return problem(subject, `${toolchainLock}: ${reasonOf(error)}`, fix);
  }
  return ok(subject, `${toolchainLock} can be locked`);
}
