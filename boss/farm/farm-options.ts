/** From options to how a matrix is built through a controller. */
import { UsageFailure } from "../../os/failure.ts";
import type { OptionValues } from "../../os/command-line/options.ts";
import type { Settings } from "../../worker/protocol.ts";
import { recipeOf } from "../../worker/remote/recipes.ts";
import { tryGit } from "../matrix/git.ts";
import { FarmController } from "./controller.ts";
import type { FarmRunOptions } from "./farm-run.ts";

/** What makes no sense with machines that are made anew for each build, or does not come back from them. */
const notThere = [
  ...["local-only", "no-local", "hosts", "uncommitted", "worker-command", "batch", "load"],
  ...["keep", "keep-outputs", "details", "show-config", "show-environment", "bloat"],
];

/** What is planned, as far as it is needed here. */
interface Planned {
  source: string;
  settings: Settings;
  toolchains: Readonly<Record<string, string>>;
  workerCommand: string | undefined;
}

/**
 * Undefined without `--controller`.
 *
 * @throws {UsageFailure} if options do not fit together, or nobody knows where machines find the source.
 */
export async function farmOf(
  values: OptionValues,
  { source, settings, toolchains, workerCommand }: Planned,
  say: (text: string) => void,
): Promise<Pick<FarmRunOptions, "controller" | "target" | "repository" | "how" | "say"> | undefined> {
  const url = values["controller"] as string | undefined;
  const given = (name: string) => {
    const value = values[name];
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
  };
  const alone = ["token", "repository", "on"].find(given);
  if (url === undefined && alone !== undefined)
    throw new UsageFailure(
      `build with --${alone}`,
      "it is for builds through a controller (--controller URL)",
    );
  if (url === undefined) return undefined;
  const wrong = notThere.find(given) ?? (workerCommand === undefined ? undefined : "worker-command");
  if (wrong !== undefined)
    throw new UsageFailure(`build with --${wrong}`, "it is not for builds through a controller");
  // Loaded when it is used: a desk with hosts of its own starts without it.
  const { connect } = await import("../../controller/client/connection.ts");
  return {
    controller: new FarmController(connect(url, values["token"] as string | undefined)),
    target: values["on"] as string | undefined,
    repository: (values["repository"] as string | undefined) ?? (await originOf(source)),
    how: { recipe: recipeOf(settings), settings, toolchains },
    say,
  };
}

/** @throws {UsageFailure} if machines could not fetch there. */
async function originOf(source: string): Promise<string> {
  const url = await tryGit(source, ["remote", "get-url", "origin"]);
  if (url !== undefined && /^(?:https?|git|ssh):\/\//.test(url)) return url;
  const reason = url === undefined ? "it was cloned from nowhere" : `'${url}' is no address for machines`;
  throw new UsageFailure(`build '${source}' through a controller`, reason, {
    hints: ["--repository URL says where machines fetch the commits."],
  });
}
