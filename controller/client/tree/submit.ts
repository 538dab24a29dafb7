/** Submits somebody's directory as it is: finds out what is in it, packs it, and sends it with what is to be built. */
import { join } from "node:path";
import { treeText, treeUrl } from "../../../manifests/working-tree.ts";
import { UsageFailure } from "../../../os/failure.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { formatBytes } from "../../../os/text/size.ts";
import { withoutUndefined } from "../../../os/without-undefined.ts";
import type { Connection } from "../connection.ts";
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
  const bytes = await packTree(source.directory, paths, { file: archive, time: commit?.time }, packing);
  tell(source, name, bytes);
  const sending = new Progress("sending the working tree");
  return await connection.postForm<T>(
    "/api/v1/trees",
    {
      submission: {
        ...submission,
        name,
        ...withoutUndefined({ commit: commit?.id, changed: commit?.isChanged }),
      },
    },
    { name: "archive", path: archive },
    (sent) => sending.tell(`${formatBytes(sent)} of ${formatBytes(bytes)}`),
  );
}

function tell({ commit, paths, remarks }: TreeSource, name: string, bytes: number): void {
  const url = treeUrl(withoutUndefined({ name, commit: commit?.id, isChanged: commit?.isChanged }));
  const size = `${paths.length} file${paths.length === 1 ? "" : "s"}, ${formatBytes(bytes)} packed`;
  for (const line of [`${treeText(url)}, without .git: ${size}`, ...remarks])
    process.stderr.write(`croft: ${line}\n`);
}
