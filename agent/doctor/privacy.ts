/** Whether what an agent keeps is its user's alone. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isOpenDirectory } from "../../os/files/private.ts";
import { directoriesOf } from "../settings/directories.ts";
import { instanceName, type Settings } from "../settings/settings.ts";
import { ok, warning, type Check, type Finding } from "./check.ts";

export const privacyChecks: readonly Check[] = [{ name: "other users", run: checkOtherUsers }];

/** Tasks with their URLs, results, artifacts and sockets lie there. What the agent makes itself is closed. */
async function checkOtherUsers(settings: Settings): Promise<Finding[]> {
  const subject = "other users";
  const { get, put } = directoriesOf(settings);
  const findings: Finding[] = [];
  for (const path of [join(settings.spool, instanceName(settings)), settings.runtime, get, put])
    if (existsSync(path) && (await isOpenDirectory(path)))
      findings.push(warning(subject, `they may look into ${path}`, `chmod -R go= ${path}`));
  return findings.length > 0 ? findings : [ok(subject, "they see nothing of spool, exchange and sockets")];
}
