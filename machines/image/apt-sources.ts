import { ProgramFailure, run } from "../../os/run.ts";

/** Where packages come from, as the host has it: a mirror or proxy that is configured here serves for machines too. */
export interface AptSources {
  /** Lines of a sources.list; empty: the builder's own default. */
  lines: string[];
  /** Settings such as a proxy, each as `NAME "VALUE";`. */
  settings: string[];
}

const settingsToKeep = /^Acquire::((https?|ftp)::|ForceIPv[46] |Check-Valid-Until |Check-Date |Retries )/;

/**
 * Reads the host's package sources, for a release: of Debian's own archives only, as others seldom fit another release.
 *
 * @throws {Failure} if apt cannot be run.
 */
export async function hostAptSources(release: string, signal?: AbortSignal): Promise<AptSources> {
  const options = { timeoutSeconds: 60, ...(signal && { signal }) };
  // The lists themselves tell what is Debian's, whatever the mirror is called.
  const targets = await run(
    [
      "apt-get",
      "indextargets",
      ...["--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)"],
      ...["Created-By: Packages", "Origin: Debian"],
    ],
    options,
  ).catch((error: unknown) => {
    // On a host without lists there is nothing to go by, and that is no failure.
    if (error instanceof ProgramFailure && error.status !== null) return { stdout: "" };
    throw error;
  });
  const settings = await run(["apt-config", "dump"], options);
  return {
    lines: sourceLines(targets.stdout, release),
    settings: settings.stdout.split("\n").filter((line) => settingsToKeep.test(line)),
  };
}

/**
 * Makes `deb` lines for a release from `URI CODENAME COMPONENT` lines; those of another release are taken over with
 * the name exchanged if there are none of this one. The archives of updates that releases have are none of sid's.
 */
export function sourceLines(targets: string, release: string): string[] {
  const found = targets
    .split("\n")
    .map((line) => /^(\S+) ([a-z]+)(|-updates|-security) (\S+)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, uri, codename, suffix, component]) => ({ uri, codename, suffix, component }));
  const hasPockets = !/^(sid|unstable|experimental)$/.test(release);
  const fitting = found.filter(({ codename }) => codename === release);
  const lines = (fitting.length ? fitting : found)
    .filter(({ suffix }) => suffix === "" || hasPockets)
    .map(({ uri, suffix, component }) => `deb ${uri} ${release}${suffix} ${component}`);
  return [...new Set(lines)].sort();
}
