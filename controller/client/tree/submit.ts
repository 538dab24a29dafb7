/** Submits somebody's directory as it is: finds out what is in it, packs it, and sends it with what is to be built. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { treeText, treeUrl } from "../../../manifests/working-tree.ts";
import { Failure, UsageFailure } from "../../../os/failure.ts";
import { ProgramFailure } from "../../../os/run.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { formatBytes } from "../../../os/text/size.ts";
import { withoutUndefined } from "../../../os/without-undefined.ts";
import type { Connection } from "../connection.ts";
import { makeHistory } from "./history.ts";
import { packTree } from "./pack.ts";
import { Progress } from "./progress.ts";
import { findSource, type TreeSource } from "./source.ts";

/**
 * Sends a directory; what is said of it goes to standard error.
 *
 * @param submission what is to be built; its name is found out if there is none.
 * @throws {Failure} if it cannot be read, is too much, or is refused.
 */
export async function submitTree<T>(
  connection: Connection,
  given: string,
  submission: Readonly<Record<string, unknown>>,
): Promise<T> {
  const source = await findSource(given, new Progress("looking at the working tree"));
  const name = (submission["name"] as string | undefined) ?? source.name;
  if (name === undefined)
    throw new UsageFailure("submit", `'${given}' tells no name`, { hints: ["Give it with --name."] });
  await using directory = await temporaryDirectory("croft-tree-");
  const archive = join(directory.path, "tree.tar.gz");
  const { commit, paths } = source;
  const packing = new Progress("packing the working tree");
  const history = await packing.during("its commits", historyOf(source, join(directory.path, "history")));
  const beside = { directory: join(directory.path, "history"), paths: history.paths };
  const how = { file: archive, time: commit?.time, beside };
  const bytes = await packTree(source.directory, paths, how, packing);
  tell(source, name, bytes, history.remarks);
  const sending = new Progress("sending the working tree");
  const fields = {
    ...submission,
    name,
    ...withoutUndefined({ commit: commit?.id, changed: commit?.isChanged }),
  };
  try {
    return await connection.postForm<T>(
      "/api/v1/trees",
      { submission: fields },
      { name: "archive", path: archive },
      (sent) => sending.tell(`${formatBytes(sent)} of ${formatBytes(bytes)}`),
    );
  } catch (error) {
    if (!(error instanceof Failure) || !isNotFound(error.cause)) throw error;
    throw new Failure(
      `submit '${given}'`,
      "the controller is of an earlier version, which takes no working trees",
      {
        cause: error,
      },
    );
  }
}

function isNotFound(cause: unknown): boolean {
  return (cause as { response?: { statusCode?: number } } | undefined)?.response?.statusCode === 404;
}

/** What git is to find in the machine, if it has all of the working tree. */
async function historyOf(
  { directory, commit, isTop }: TreeSource,
  into: string,
): Promise<{ paths: readonly string[]; remarks: readonly string[] }> {
  if (!commit || !isTop) return { paths: [], remarks: [] };
  try {
    await mkdir(into);
    const { paths, isWhole } = await makeHistory(directory, commit.id, into);
    return {
      paths,
      remarks: isWhole ? [] : [".git is sent without its long history: git describe finds no tag there"],
    };
  } catch (error) {
    // It can be built all the same, as what comes as an archive is.
    if (!(error instanceof ProgramFailure)) throw error;
    return { paths: [], remarks: [`.git is not sent: git ${error.reason}`] };
  }
}

function tell(
  { commit, paths, remarks: first }: TreeSource,
  name: string,
  bytes: number,
  more: readonly string[],
): void {
  const remarks = [...first, ...more];
  const url = treeUrl(withoutUndefined({ name, commit: commit?.id, isChanged: commit?.isChanged }));
  const size = `${paths.length} file${paths.length === 1 ? "" : "s"}, ${formatBytes(bytes)} packed`;
  for (const line of [`${treeText(url)}: ${size}`, ...remarks]) process.stderr.write(`croft: ${line}\n`);
}
