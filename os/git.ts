/** How git is run on somebody's repository. */

/** What hooks, aliases and rebases tell git about their own repository; ours is told with `-C`. */
const otherRepository =
  /^GIT_(?:DIR|WORK_TREE|INDEX_FILE|COMMON_DIR|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|PREFIX|NAMESPACE|SHALLOW_FILE|GRAFT_FILE)$/;

/** The environment in which git works in the source tree, and speaks English. */
export function gitEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !otherRepository.test(name));
  return { ...Object.fromEntries(kept), LC_ALL: "C" };
}

/** No program that the repository names has a part in this: neither a hook, nor one that tells which files changed. */
export const withoutPrograms = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"];
