/** Commits travel to a host: all in one push, from a repository of our own (matrix/outgoing.ts). */
import { Failure, reasonOf } from "../../os/failure.ts";
import { ProgramFailure, run } from "../../os/run.ts";
import { quote } from "../../os/text/shell-word.ts";
import { gitEnvironment, withoutPrograms } from "../../os/git.ts";
import type { Outgoing } from "../matrix/what-hosts-get.ts";
import type { Host } from "./hosts.ts";
import { receivePack } from "./scripts.ts";
import { sshArguments, type SshSettings } from "./ssh.ts";

interface PushSettings {
  ssh: SshSettings;
  outgoing: Outgoing;
  pushTimeoutSeconds: number;
  signal: AbortSignal;
}

/** Git says so of the source: what the host has to say comes after `remote: `. */
const lacksObjects =
  /^(?:fatal: unable to read |error: Could not read |fatal: Failed to traverse parents |fatal: bad tree object |fatal: .*promisor remote|fatal: transport '.*' not allowed)/m;

/**
 * Pushes what hosts get. If the history of the commits lacks something, they go without it.
 *
 * @throws {Failure} if they do not get there; {UsageFailure} if they are not whole themselves.
 */
export async function push(host: Host, workDirectory: string, settings: PushSettings): Promise<void> {
  try {
    try {
      await pushOnce(host, workDirectory, settings.outgoing, settings);
    } catch (error) {
      if (!(error instanceof ProgramFailure) || !lacksObjects.test(error.output)) throw error;
      await pushOnce(host, workDirectory, await settings.outgoing.withoutHistory(), settings);
    }
  } catch (error) {
    settings.signal.throwIfAborted();
    if (!(error instanceof ProgramFailure)) throw error;
    const said = pushComplaint(error.output) || reasonOf(error);
    throw new Failure(`push the commits to host ${host.name}`, said, { cause: error });
  }
}

async function pushOnce(
  host: Host,
  workDirectory: string,
  { gitOptions, tips, refspecs, joined }: Outgoing,
  settings: PushSettings,
): Promise<void> {
  const { destination } = host;
  const url = destination === undefined ? workDirectory : `${destination}:${workDirectory}`;
  const refs = tips.map((tip, position) =>
    position === 0 ? `${tip}:refs/heads/work` : `${tip}:refs/croft/tip-${position}`,
  );
  const ssh = sshArguments(host, settings.ssh, "shared").map(quote).join(" ");
  // Whatever is set here for pushes to others: what submodules have goes nowhere, and no tag comes along.
  const plain = ["--no-verify", "--no-signed", "--recurse-submodules=no", "--no-follow-tags"];
  const flags = ["--quiet", "--force", ...plain, `--receive-pack=${receivePack}`];
  const git = ["git", ...gitOptions, ...withoutPrograms];
  const environment = { GIT_SSH_COMMAND: ssh, GIT_SSH_VARIANT: "ssh", GIT_ALLOW_PROTOCOL: "file:ssh" };
  const before = joined === undefined ? [] : [[`${joined}:refs/croft/joined`]];
  for (const what of [...before, [...refs, ...refspecs]])
    await run([...git, "push", ...flags, url, ...what], {
      timeoutSeconds: settings.pushTimeoutSeconds,
      env: { ...gitEnvironment(), ...environment },
      signal: settings.signal,
    });
}

/** Why git could not push: what the other side and git say of it; the last lines only that it was so. */
function pushComplaint(output: string): string {
  const lines = output.split("\n").map((line) => line.trim());
  const telling = lines.filter((line) => /^(?:remote: .*\w|fatal: |! |ssh: )/.test(line));
  return (telling.length > 0 ? telling.slice(0, 3) : lines.filter((line) => line !== "").slice(-1)).join(
    "; ",
  );
}
