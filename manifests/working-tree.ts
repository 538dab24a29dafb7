/**
 * The URL of a working tree, `tree:NAME`, or `tree:NAME#COMMIT` and `tree:NAME#COMMIT+changes` of a git repository. Nobody fetches
 * it from anywhere: the archive was sent to the controller with the submission, its agent gets it there, and the machine from the
 * agent.
 */

/** What somebody's directory is, as it was sent. */
export interface WorkingTree {
  name: string;
  /** That it was based on. */
  commit?: string;
  /** Whether anything in it is not as in that commit. */
  isChanged?: boolean;
}

/** The archive's name among the files that a machine gets; the worker's too (worker/guest/parts/60-fetch.sh). */
export const treeArchiveName = "tree.tar.gz";

export function isTreeUrl(url: string): boolean {
  return url.startsWith("tree:");
}

export function treeUrl({ name, commit, isChanged = false }: WorkingTree): string {
  return `tree:${name}${commit === undefined ? "" : `#${commit}${isChanged ? "+changes" : ""}`}`;
}

/** For people; undefined if the URL is of something else. */
export function treeText(url: string): string | undefined {
  const [, name, commit, changes] = /^tree:([^#]*)(?:#([0-9a-f]+)(\+changes)?)?$/.exec(url) ?? [];
  if (name === undefined) return undefined;
  if (commit === undefined) return `working tree '${name}'`;
  return `working tree '${name}' at commit ${commit}${changes === undefined ? "" : " with changes"}`;
}
